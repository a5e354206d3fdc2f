#pragma once

#include <linformer/core/matrix.hpp>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace linformer::bench {

/// The program's arguments --name=value, apart from those that are left for Google Benchmark.
class Flags {
 public:
  /// @param ours their names
  Flags(int& argc, char** argv, std::initializer_list<std::string_view> ours) {
    int kept = 1;
    for (int i = 1; i < argc; ++i) {
      const std::string_view argument(argv[i]);
      const std::size_t equals = argument.find('=');
      const std::string_view name = argument.substr(0, equals);
      if (name.starts_with("--") && equals != argument.npos && std::ranges::count(ours, name.substr(2)) == 1) {
        values_[std::string(name.substr(2))] = argument.substr(equals + 1);
      } else {
        argv[kept++] = argv[i];
      }
    }
    argc = kept;
  }

  [[nodiscard]] std::string text(const std::string& name, std::string otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::move(otherwise) : found->second;
  }

  template <class Number>
  [[nodiscard]] Number number(const std::string& name, Number otherwise) const {
    return given(name) ? parsed<Number>(name, text(name, "")) : otherwise;
  }

  [[nodiscard]] std::vector<Index> numbers(const std::string& name, std::vector<Index> otherwise) const {
    if (!given(name)) return otherwise;
    std::vector<Index> list;
    for (const std::string& item : items(text(name, ""))) list.push_back(parsed<Index>(name, item));
    return list;
  }

  /// Entries of a table of names and values.
  template <class Table>
  [[nodiscard]] auto choices(const std::string& name, const char* otherwise, const Table& table) const {
    std::vector<std::remove_cvref_t<decltype(table[0])>> list;
    for (const std::string& item : items(text(name, otherwise))) {
      const auto* found = std::ranges::find_if(table, [&](const auto& entry) { return entry.first == item; });
      if (found == std::end(table)) {
        std::string known;
        for (const auto& entry : table) known.append(known.empty() ? "" : ", ").append(entry.first);
        fail(name, known, item);
      }
      list.push_back(*found);
    }
    return list;
  }
  template <class Table>
  [[nodiscard]] auto choice(const std::string& name, const char* otherwise, const Table& table) const {
    const auto list = choices(name, otherwise, table);
    if (list.size() != 1) fail(name, "one choice", text(name, otherwise));
    return list.front();
  }

  [[nodiscard]] bool given(const std::string& name) const { return values_.contains(name); }

 private:
  [[noreturn]] static void fail(const std::string& name, const std::string& expected, const std::string& actual) {
    throw std::invalid_argument("--" + name + ": expected " + expected + ", got '" + actual + "'");
  }

  [[nodiscard]] static std::vector<std::string> items(const std::string& list) {
    std::vector<std::string> result(1);
    for (const char letter : list) {
      if (letter == ',') {
        result.emplace_back();
      } else {
        result.back() += letter;
      }
    }
    return result;
  }

  template <class Number>
  [[nodiscard]] static Number parsed(const std::string& name, const std::string& value) {
    Number number{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || end != value.data() + value.size() || !(number > 0)) {
      fail(name, std::is_integral_v<Number> ? "a positive whole number" : "a positive number", value);
    }
    return number;
  }

  std::map<std::string, std::string> values_;
};

}  // namespace linformer::bench
