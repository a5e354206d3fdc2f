#pragma once

// Catch2 under either of its names, 3 first, with `Approx` unqualified as in version 2.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
