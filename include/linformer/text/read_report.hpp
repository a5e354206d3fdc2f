#pragma once

#include <linformer/core/error.hpp>
#include <linformer/core/utf8.hpp>

#include <string>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// What a reader does with a row, file or document that is not in its format.
enum class OnMalformed {
  skip,  ///< leaves it out and reports it
  fail,  ///< throws Error malformed_input
};

/// What of its input a reader could not take as it was.
struct ReadReport {
  struct Malformed {
    std::string file;
    Index line = 0;  ///< where the row begins, from 1; 0: the whole file
    std::string expected, actual;
  };
  /// So many are kept in `first`; the others are counted alone.
  static constexpr std::size_t kept = 10;

  Index accepted = 0;   ///< rows, files or documents that came through
  Index malformed = 0;  ///< that were left out
  Index replaced = 0;   ///< texts in which U+FFFD took the place of invalid UTF-8
  std::vector<Malformed> first;

  /// Counts one malformed piece of input. @throws Error malformed_input, named file:line, if `choice` says so
  void reject(Malformed what, OnMalformed choice) {
    if (choice == OnMalformed::fail) {
      std::string place = what.line == 0 ? what.file : what.file + ":" + std::to_string(what.line);
      throw Error(ErrorCode::malformed_input, std::move(place), std::move(what.expected), std::move(what.actual));
    }
    ++malformed;
    if (first.size() < kept) first.push_back(std::move(what));
  }

  /// Treats invalid UTF-8 as chosen. @return what is wrong with the text, empty if it can be taken
  [[nodiscard]] std::string check_utf8(std::string& text, OnInvalidUtf8 choice) {
    if (choice == OnInvalidUtf8::keep) return {};
    const auto invalid = first_invalid_utf8(text);
    if (!invalid) return {};
    if (choice == OnInvalidUtf8::malformed) return "an invalid byte at position " + std::to_string(*invalid);
    text = replace_invalid_utf8(text);
    ++replaced;
    return {};
  }
};

}  // namespace linformer::inline LINFORMER_ABI
