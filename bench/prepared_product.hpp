#pragma once

#include <linformer/core/matrix.hpp>

#include <functional>
#include <string>

namespace linformer::bench {

/// A product of fixed operands that another library computes again and again. What it needs to know about shapes, and
/// what can be laid out beforehand, is done when it is made and not timed.
struct PreparedProduct {
  std::function<void()> run;
  std::function<Matrix<float>()> result;  ///< m × n, of the last run
  std::string implementation;             ///< what the library chose, in its own words
};

}  // namespace linformer::bench
