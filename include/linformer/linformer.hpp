#pragma once

// The attention layer and everything below it. Further rooms of the library have umbrellas of their own.

#include <linformer/attention/attend.hpp>
#include <linformer/attention/linformer_attention.hpp>
#include <linformer/core/version.hpp>
