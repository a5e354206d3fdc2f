#pragma once

#include <linformer/text/dataset.hpp>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// Rating of a review's file, ID_RATING.txt, if the name is of that form.
inline std::optional<int> imdb_rating(std::string_view name) {
  constexpr std::string_view ending = ".txt";
  const auto bar = name.find('_');
  if (bar == std::string_view::npos || !name.ends_with(ending)) return std::nullopt;
  const ExampleConfig any_number;
  if (!parse_label(name.substr(0, bar), any_number)) return std::nullopt;
  name.remove_suffix(ending.size());
  return parse_label(name.substr(std::min(bar + 1, name.size())), any_number);
}

}  // namespace detail

/// Reads a split of the Large Movie Review Dataset (Maas et al. 2011): neg/ID_RATING.txt, rated 1 to 4, have label 0,
/// pos/ID_RATING.txt, rated 7 to 10, label 1. Negative reviews come first, each class sorted by the bytes of the name,
/// so that the order is the same everywhere. Files with another name or rating are malformed.
/// @throws Error file_access if a folder or file cannot be read; malformed_input if `on_malformed` says so
[[nodiscard]] inline Dataset read_imdb(const std::filesystem::path& split, OnMalformed on_malformed = OnMalformed::fail,
                                       OnInvalidUtf8 on_invalid_utf8 = OnInvalidUtf8::keep) {
  struct Class {
    const char* folder;
    int lowest, highest;
  };
  constexpr Class classes[] = {{"neg", 1, 4}, {"pos", 7, 10}};
  Dataset data;
  for (int label = 0; label < 2; ++label) {
    const Class& of = classes[label];
    const std::filesystem::path folder = split / of.folder;
    std::error_code failure;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator entry(folder, failure), end; !failure && entry != end;
         entry.increment(failure)) {
      names.push_back(entry->path().filename().string());
    }
    if (failure) throw Error(ErrorCode::file_access, folder.string(), "a folder that can be read", failure.message());
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      const auto reject = [&](std::string expected, std::string actual) {
        data.report.reject({(folder / name).string(), 0, std::move(expected), std::move(actual)}, on_malformed);
      };
      const auto rating = detail::imdb_rating(name);
      if (!rating || *rating < of.lowest || *rating > of.highest) {
        const std::string range = std::to_string(of.lowest) + " to " + std::to_string(of.highest);
        reject("ID_RATING.txt with a rating from " + range, name);
        continue;
      }
      std::string text = read_file(folder / name);
      if (std::string fault = data.report.check_utf8(text, on_invalid_utf8); !fault.empty()) {
        reject("UTF-8", std::move(fault));
        continue;
      }
      ++data.report.accepted;
      data.examples.push_back({.first = std::move(text), .second = {}, .label = label});
    }
  }
  return data;
}

}  // namespace linformer::inline LINFORMER_ABI
