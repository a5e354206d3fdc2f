#include "../../examples/support/json_records.hpp"

#include "support/files.hpp"

using linformer_test::error_of;
using linformer_test::TemporaryFolder;

namespace {

/// Accepted records as "line:first|second|id", malformed ones as "line!expected!got".
std::vector<std::string> records_of(const std::string& path, const RecordFields& fields) {
  std::vector<std::string> seen;
  JsonRecordReader reader(path, fields);
  const auto reject = [&](const linformer::ReadReport::Malformed& fault, const std::string&) {
    CHECK(fault.file == path);
    seen.push_back(std::to_string(fault.line) + "!" + fault.expected + "!" + fault.actual);
  };
  while (const auto record = reader.next(reject)) {
    seen.push_back(std::to_string(record->line) + ":" + record->first + "|" + record->second + "|" + record->id.dump());
  }
  CHECK(reader.bytes() == static_cast<double>(std::filesystem::file_size(path)));
  return seen;
}

}  // namespace

TEST_CASE("records are texts and ids, or are set aside with what is wrong", "[json_records]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("r.jsonl",
                                        "{\"text\": \"a\\u00e9\\n\", \"id\": [1]}\r\n"
                                        " \t\r\n"
                                        "\xC3\x28\n"
                                        "{\"text\": \"\\ud83d\"}\n"
                                        "7\n"
                                        "\n"
                                        "{\"text\": null}\n"
                                        "{\"other\": \"\"}\n"
                                        "{\"text\": \"\", \"other\": \"b\"}");
  CHECK(records_of(file, {}) == std::vector<std::string>{"1:a\xC3\xA9\n||[1]", "3!UTF-8!an invalid byte at position 0",
                                                         "4!JSON!something else at byte 17", "5!a JSON object!number",
                                                         "7!a text in field 'text'!null",
                                                         "8!a text in field 'text'!no such field", "9:||null"});
  const auto pairs = records_of(file, {.text = "text", .second = "other"});
  REQUIRE(pairs.size() == 7);
  CHECK(pairs.front() == "1!a text in field 'other'!no such field");
  CHECK(pairs.back() == "9:|b|null");
}

TEST_CASE("a line beyond the limits of JSON is malformed, and the next is read", "[json_records]") {
  const TemporaryFolder folder;
  const std::string deep(static_cast<std::size_t>(linformer::json_depth_limit), '[');
  std::string close(deep);
  std::replace(close.begin(), close.end(), '[', ']');
  const std::string file =
      folder.write("r.jsonl", "{\"text\": \"a\", \"text\": \"b\"}\n{\"text\": \"c\", \"id\": " + deep + close +
                                  "}\n{\"text\": \"d\"}");
  CHECK(records_of(file, {}) ==
        std::vector<std::string>{"1!every key once!'text' again",
                                 "2!JSON of at most 64 arrays and objects within one another!more", "3:d||null"});
  // Lines of every length about the limit, and about that of the blocks in which they are read.
  const std::string begin = "{\"text\": \"", end = "\"}";
  for (const std::size_t length : {4094UL, 4095UL, 4096UL, 4097UL, 8190UL, 8191UL, 8192UL}) {
    const std::string text(length - begin.size() - end.size(), 'x'), line = begin + text + end;
    const std::string lines = folder.write("lines.jsonl", line + "\n" + line + "y\n\n" + line);
    std::vector<std::string> seen;
    JsonRecordReader reader(lines, {}, length);
    while (const auto record = reader.next([&](const auto& fault, const std::string& of) {
      CHECK(of == line);
      seen.push_back(std::to_string(fault.line) + "!" + fault.expected + "!" + fault.actual);
    })) {
      CHECK(record->first == text);
      seen.push_back(std::to_string(record->line));
    }
    CHECK(seen == std::vector<std::string>{"1", "2!a line of at most " + std::to_string(length) + " bytes!more", "4"});
    CHECK(reader.bytes() == static_cast<double>(std::filesystem::file_size(lines)));
  }
}

TEST_CASE("a file that cannot be read is named", "[json_records]") {
  const TemporaryFolder folder;
  const auto error = error_of([&] { JsonRecordReader(folder.path().string(), {}); });
  CHECK(error.code() == linformer::ErrorCode::file_access);
  CHECK(error.tensor() == folder.path().string());
}
