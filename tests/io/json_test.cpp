#include <linformer/io/json.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>

using namespace linformer;
using linformer_test::error_of;

namespace {

Error json_error(const std::string& text) {
  const Error error = error_of([&] { static_cast<void>(parse_json(text, "name")); });
  CHECK(error.code() == ErrorCode::malformed_input);
  CHECK(error.tensor() == "name");
  return error;
}

/// Arrays, or objects, within one another.
std::string nested(int depth, const std::string& open, const std::string& close) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += open;
  text += "1";
  for (int i = 0; i < depth; ++i) text += close;
  return text;
}

}  // namespace

TEST_CASE("JSON is read as it is", "[json]") {
  const std::string text = R"( {"a": [1, -2, 2.5, true, null, "\u00e9"], "b": {"a": {}}} )";
  CHECK(parse_json(text, "name") == nlohmann::json::parse(text));
  CHECK(parse_json("[{\"a\": 1}, {\"a\": 1}]", "name").size() == 2);  // one key each in two objects
  CHECK(parse_json<nlohmann::ordered_json>("{\"b\": 1, \"a\": 2}", "name").dump() == "{\"b\":1,\"a\":2}");
}

TEST_CASE("JSON is nested no deeper than the limit", "[json]") {
  for (const auto& [open, close] : {std::pair("[", "]"), std::pair("{\"a\":", "}")}) {
    CHECK(parse_json(nested(json_depth_limit, open, close), "name").size() == 1);
    for (const int depth : {json_depth_limit + 1, 1'000'000}) {
      CHECK(json_error(nested(depth, open, close)).expected() ==
            "JSON of at most 64 arrays and objects within one another");
      CHECK(json_error(nested(depth, open, "")).actual() == "more");
    }
  }
}

TEST_CASE("a key that an object has twice is named", "[json]") {
  CHECK(json_error(R"({"a": {"b": 1, "c": [{"b": 1}], "b": 2}})").actual() == "'b' again");
  CHECK(json_error(R"({"a": 1, "\u0061": 1})").actual() == "'a' again");
  CHECK(json_error("{\"x\\u0007\": 1, \"x\\u0007\": 1}").actual() == "'x?' again");
}

TEST_CASE("other texts are no JSON, and it is told where", "[json]") {
  const std::string text = R"({"a": [1, {"b": "c"}, -2.5e3], "d": null})";
  for (std::size_t size = 0; size < text.size(); ++size) static_cast<void>(json_error(text.substr(0, size)));
  CHECK(json_error("[1, x]").actual() == "something else at byte 5");
  CHECK(json_error("[1] [2]").actual() == "something else at byte 5");
  CHECK(json_error("[\"\xFF\"]").actual() == "something else at byte 3");
  CHECK(json_error("[1e999]").actual() == "a number that is out of range");
  CHECK(json_error(std::string("[1]\0 anything", 13)).actual() == "a zero byte at 3");
}

TEST_CASE("a file of JSON has a size that is no larger than the limit", "[json]") {
  const linformer_test::TemporaryFolder folder;
  const auto path = folder.write("file.json", "[1]");
  CHECK(read_json(path) == nlohmann::json{1});
  std::filesystem::resize_file(path, json_size_limit + 1);  // a hole, of which no byte is on the disk
  const Error error = error_of([&] { static_cast<void>(read_json(path)); });
  CHECK(error.code() == ErrorCode::malformed_input);
  CHECK(error.tensor() == path.string());
  CHECK(error.expected() == "at most 100000000 bytes");
  CHECK(error_of([&] { static_cast<void>(read_json(folder.path() / "absent")); }).code() == ErrorCode::file_access);
}

TEST_CASE("values are shown in messages in short", "[json]") {
  CHECK(detail::shown({1, 2}) == "an array");
  CHECK(detail::shown({{"a", 1}}) == "an object");
  CHECK(detail::shown("text") == "\"text\"");
  CHECK(detail::shown(std::string(1000, 'x')).size() < 80);
}
