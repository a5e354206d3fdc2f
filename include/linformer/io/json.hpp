#pragma once

#include <linformer/core/file.hpp>
#include <linformer/io/printable.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

// JSON from files that may hold anything. nlohmann-json copies, compares and writes values by recursion, and takes the
// last of equal keys; so what is nested deeper than a limit, or has a key twice, is refused before it is a value.

/// Longest JSON file, in bytes, that is read.
inline constexpr std::size_t json_size_limit = 100'000'000;
/// Most arrays and objects within one another.
inline constexpr int json_depth_limit = 64;

/// A text of JSON as a value. @param name of the text, for messages
/// @tparam Json or nlohmann::ordered_json, which keeps the order of keys
/// @throws Error malformed_input naming the text, and the key that an object has twice
template <class Json = nlohmann::json>
[[nodiscard]] Json parse_json(std::string_view text, const std::string& name) {
  using Event = typename Json::parse_event_t;
  const auto fail = [&](std::string expected, std::string actual) {
    throw Error(ErrorCode::malformed_input, name, std::move(expected), std::move(actual));
  };
  // The parser would take a zero byte for the end of its input.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    fail("JSON", "a zero byte at " + std::to_string(zero));
  }
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, Event event, Json& value) {
    if ((event == Event::object_start || event == Event::array_start) && depth >= json_depth_limit) {
      fail("JSON of at most " + std::to_string(json_depth_limit) + " arrays and objects within one another", "more");
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.template get<std::string>()).second) {
      fail("every key once", "'" + detail::printable(value.template get<std::string>()) + "' again");
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::parse_error& error) {
    fail("JSON", "something else at byte " + std::to_string(error.byte));
  } catch (const nlohmann::json::exception&) {
    fail("JSON", "a number that is out of range");
  }
  return {};
}

/// A file of JSON as a value.
/// @throws Error file_access; malformed_input as `parse_json`, and for a file beyond `json_size_limit`
template <class Json = nlohmann::json>
[[nodiscard]] Json read_json(const std::filesystem::path& path) {
  return parse_json<Json>(read_file(path, json_size_limit), path.string());
}

namespace detail {

/// A value as a message can carry it.
[[nodiscard]] inline std::string shown(const nlohmann::json& value) {
  return value.is_structured() ? std::string("an ") + value.type_name() : printable(value.dump());
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
