#include <linformer/io/safetensors_header.hpp>

#include "io/safetensors_bytes.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

#include <sys/resource.h>

#include <string>

using namespace linformer;
using Rule = SafetensorsError;

namespace {

/// Fails unless just this rule is named as broken.
void check_breach(const std::string& what, const std::string& bytes, Rule rule, const std::string& tensor = "f") {
  INFO(what);
  const auto failure =
      failure_of<SafetensorsFailure>([&] { static_cast<void>(detail::parse_safetensors("f", bytes_of(bytes))); });
  INFO(failure.what());
  CHECK(failure.rule() == rule);
  CHECK(failure.tensor() == tensor);
}

/// A file of 4 bytes of data whose header is given.
std::string with_header(const std::string& header) { return safetensors_bytes(header, "data"); }

/// A file with one valid tensor of 4 bytes, one field of which is replaced.
std::string with_dtype(const std::string& dtype) {
  return with_header(R"({"a":{"dtype":)" + dtype + R"(,"shape":[4],"data_offsets":[0,4]}})");
}
std::string with_shape(const std::string& shape) {
  return with_header(R"({"a":{"dtype":"U8","shape":)" + shape + R"(,"data_offsets":[0,4]}})");
}
std::string with_offsets(const std::string& offsets) {
  return with_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + offsets + "}}");
}
std::string with_metadata(const std::string& metadata) {
  return with_header(R"({"__metadata__":)" + metadata + R"(,"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})");
}

std::string tensor(const std::string& name, int begin, int end) {
  return "\"" + name + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) + R"(],"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes = safetensors_bytes("", rest);
  for (int i = 0; i < 8; ++i) bytes[static_cast<std::size_t>(i)] = static_cast<char>(length >> 8 * i & 0xFF);
  return bytes;
}

detail::SafetensorsHeader parsed(const std::string& bytes) { return detail::parse_safetensors("f", bytes_of(bytes)); }

}  // namespace

TEST_CASE("the files that the mutants start from are valid", "[io]") {
  for (const std::string& bytes :
       {with_dtype("\"U8\""), with_shape("[4]"), with_offsets("[0,4]"), with_metadata(R"({"b":"c"})")}) {
    const auto header = parsed(bytes);
    REQUIRE(header.tensors.size() == 1);
    CHECK(header.tensors[0].name == "a");
    CHECK(header.tensors[0].dtype == Dtype::u8);
    CHECK(header.tensors[0].shape == std::vector<Index>{4});
    CHECK(detail::characters(header.tensors[0].bytes) == "data");
  }
}

TEST_CASE("unusual files that are valid", "[io]") {
  CHECK(parsed(safetensors_bytes("{}")).tensors.empty());
  CHECK(parsed(safetensors_bytes("{}      ")).tensors.empty());
  CHECK(parsed(safetensors_bytes("{ \n\t}")).tensors.empty());
  CHECK(parsed(with_metadata("{}")).metadata.empty());
  CHECK(parsed(with_metadata(R"({"__metadata__":"","a":"\u00e9\ud83d\ude00"})")).metadata ==
        std::map<std::string, std::string>{{"__metadata__", ""}, {"a", "\u00E9\U0001F600"}});

  // A scalar; the fields in another order.
  const auto scalar = parsed(with_header(R"({"a":{"data_offsets":[0,4],"shape":[],"dtype":"F32"}})"));
  CHECK(scalar.tensors.at(0).shape.empty());
  CHECK(scalar.tensors.at(0).bytes.size() == 4);

  // Tensors without elements, at every place where one can be, whatever their order in the header.
  const auto empty = parsed(with_header("{" + tensor("end", 4, 4) + "," + tensor("a", 2, 4) + "," + tensor("m", 2, 2) +
                                        "," + tensor("b", 0, 2) + "," + tensor("begin", 0, 0) + "}"));
  std::string names;
  for (const SafetensorsTensor& each : empty.tensors) names += each.name + " ";
  CHECK(names == "begin b m a end ");
  CHECK(parsed(safetensors_bytes(R"({"a":{"dtype":"F64","shape":[3,0,7],"data_offsets":[0,0]}})")).tensors.size() == 1);

  // An escaped zero is a letter of a name like any other; an empty name is a name.
  CHECK(parsed(with_header("{" + tensor("x\\u0000y", 0, 4) + "}")).tensors[0].name == std::string("x\0y", 3));
  CHECK(parsed(with_header("{" + tensor("", 0, 4) + "}")).tensors[0].name.empty());
}

TEST_CASE("every dtype is read with its size", "[io]") {
  for (const detail::DtypeFacts& facts : detail::dtype_facts) {
    const std::string count = std::to_string(3 * facts.size);
    const auto header = parsed(safetensors_bytes(
        R"({"a":{"dtype":")" + std::string(facts.name) + R"(","shape":[3],"data_offsets":[0,)" + count + "]}}",
        std::string(3 * facts.size, 'x')));
    CHECK(header.tensors.at(0).dtype == facts.dtype);
  }
}

TEST_CASE("mutants of the length", "[io]") {
  check_breach("an empty file", "", Rule::file_too_short);
  check_breach("seven bytes", std::string(7, '\0'), Rule::file_too_short);
  check_breach("length 0", safetensors_bytes(""), Rule::header_not_object);
  check_breach("one byte beyond the file", with_length(3, "{}"), Rule::header_beyond_file);
  check_breach("the longest header beyond the file", with_length(100'000'000, "{}"), Rule::header_beyond_file);
  check_breach("one byte more than the limit", with_length(100'000'001, "{}"), Rule::header_too_long);
  check_breach("2^63", with_length(std::uint64_t{1} << 63, "{}"), Rule::header_too_long);
  check_breach("2^64 - 8, which 8 makes 0", with_length(~std::uint64_t{7}, "{}"), Rule::header_too_long);
  check_breach("a length that cuts the header", with_length(1, "{}"), Rule::invalid_json);
}

TEST_CASE("mutants of the text", "[io]") {
  check_breach("a space first", safetensors_bytes(" {}"), Rule::header_not_object);
  check_breach("a byte-order mark", safetensors_bytes("\xEF\xBB\xBF{}"), Rule::header_not_object);
  check_breach("an array", safetensors_bytes("[]"), Rule::header_not_object);
  check_breach("UTF-8 wrong in a name", with_header("{" + tensor("a\xFF", 0, 4) + "}"), Rule::invalid_utf8);
  check_breach("an overlong slash", with_header("{" + tensor("\xC0\xAF", 0, 4) + "}"), Rule::invalid_utf8);
  check_breach("a surrogate", with_header("{" + tensor("\xED\xA0\x80", 0, 4) + "}"), Rule::invalid_utf8);
  check_breach("UTF-8 wrong in metadata", with_metadata("{\"a\":\"\xC3\"}"), Rule::invalid_utf8);
  check_breach("an escaped half of a surrogate pair", with_header(R"({"\ud800":1})"), Rule::invalid_json);
  check_breach("an object that does not end", safetensors_bytes("{"), Rule::invalid_json);
  check_breach("a comma too many", with_metadata(R"({"a":"b",})"), Rule::invalid_json);
  check_breach("a comment", safetensors_bytes("{/**/}"), Rule::invalid_json);
  check_breach("single quotes", safetensors_bytes("{'a':1}"), Rule::invalid_json);
  check_breach("a control character in a name", with_header("{" + tensor("a\nb", 0, 4) + "}"), Rule::invalid_json);
  check_breach("NaN", with_shape("[NaN]"), Rule::invalid_json);
  check_breach("a number beyond double", with_shape("[1e999]"), Rule::invalid_json);
  check_breach("a zero byte", safetensors_bytes(std::string("{}\0", 3)), Rule::invalid_json);
  check_breach("data hidden behind a zero byte", safetensors_bytes(std::string("{}\0}", 4)), Rule::invalid_json);
  check_breach("a second object", safetensors_bytes("{}{}"), Rule::trailing_bytes);
  check_breach("a letter after spaces", safetensors_bytes("{}  x"), Rule::trailing_bytes);
  check_breach("a brace after the object", safetensors_bytes("{}}"), Rule::trailing_bytes);
  check_breach("a line feed after the object", safetensors_bytes("{}\n"), Rule::trailing_bytes);
  check_breach("a tabulator between spaces", safetensors_bytes("{} \t "), Rule::trailing_bytes);
}

TEST_CASE("mutants of the nesting", "[io]") {
  check_breach("an array in a shape", with_shape("[[4]]"), Rule::nesting_too_deep, "f: a");
  check_breach("an object in offsets", with_offsets("[{}]"), Rule::nesting_too_deep, "f: a");
  for (const int depth : {10, 1'000'000}) {
    const std::string deep(static_cast<std::size_t>(depth), '[');
    check_breach("deep in a shape", with_shape(deep), Rule::nesting_too_deep, "f: a");
    check_breach("deep in a dtype", with_dtype(deep), Rule::unknown_dtype, "f: a");
    check_breach("deep in a tensor's place", with_header("{\"a\":" + deep), Rule::tensor_not_object, "f: a");
    check_breach("deep in metadata", with_metadata("{\"b\":" + deep), Rule::invalid_metadata, "f: b");
  }
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  check_breach("objects in objects", safetensors_bytes(objects), Rule::unknown_field, "f: a");
}

TEST_CASE("mutants of the keys", "[io]") {
  check_breach("a tensor twice", with_header("{" + tensor("a", 0, 2) + "," + tensor("a", 2, 4) + "}"),
               Rule::duplicate_key, "f: a");
  check_breach("a tensor twice, once escaped",
               with_header("{" + tensor("a", 0, 2) + "," + tensor("\\u0061", 2, 4) + "}"), Rule::duplicate_key, "f: a");
  check_breach("metadata twice", safetensors_bytes(R"({"__metadata__":{},"__metadata__":{}})"), Rule::duplicate_key,
               "f: __metadata__");
  check_breach("a key of metadata twice", with_metadata(R"({"b":"1","b":"1"})"), Rule::duplicate_key, "f: b");
  for (const char* twice : {R"("dtype":"U8",)", R"("shape":[4],)", R"("data_offsets":[0,4],)"}) {
    check_breach(twice,
                 with_header(R"({"a":{)" + std::string(twice) + R"("dtype":"U8","shape":[4],"data_offsets":[0,4]}})"),
                 Rule::duplicate_key, "f: a");
  }
  check_breach("a fourth field", with_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1}})"),
               Rule::unknown_field, "f: a");
  check_breach("a field in capitals", with_header(R"({"a":{"DTYPE":"U8","shape":[4],"data_offsets":[0,4]}})"),
               Rule::unknown_field, "f: a");
  check_breach("no dtype", with_header(R"({"a":{"shape":[4],"data_offsets":[0,4]}})"), Rule::missing_field, "f: a");
  check_breach("no shape", with_header(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})"), Rule::missing_field, "f: a");
  check_breach("no offsets", with_header(R"({"a":{"dtype":"U8","shape":[4]}})"), Rule::missing_field, "f: a");
  check_breach("no field", with_header(R"({"a":{}})"), Rule::missing_field, "f: a");
  // The fields of the tensor before must not fill in for those that are missing.
  check_breach("a second tensor without fields", with_header("{" + tensor("a", 0, 4) + R"(,"b":{}})"),
               Rule::missing_field, "f: b");
}

TEST_CASE("mutants of the values", "[io]") {
  for (const char* value : {"null", "true", "1", "-1", "1.5", "\"x\"", "[]", "[1]"}) {
    check_breach(value, with_header(std::string("{\"a\":") + value + "}"), Rule::tensor_not_object, "f: a");
    check_breach(value, with_header(std::string("{\"__metadata__\":") + value + "}"), Rule::invalid_metadata,
                 "f: __metadata__");
  }
  for (const char* value : {"null", "true", "1", "-1", "1.5", "{}", "[]"}) {
    check_breach(value, with_metadata(std::string("{\"b\":") + value + "}"), Rule::invalid_metadata, "f: b");
    check_breach(value, with_dtype(value), Rule::unknown_dtype, "f: a");
  }
  for (const char* name : {"\"\"", "\"u8\"", "\"F128\"", "\"U8 \"", "\"U8\\u0000\""}) {
    check_breach(name, with_dtype(name), Rule::unknown_dtype, "f: a");
  }
  for (const char* shape : {"null", "true", "4", "\"4\"", "{}", "[-4]", "[-0]", "[4.0]", "[4e0]", "[true]", "[null]",
                            "[\"4\"]", "[4,-1,-1]", "[99999999999999999999]"}) {
    check_breach(shape, with_shape(shape), Rule::invalid_shape, "f: a");
  }
  for (const char* offsets : {"null", "true", "4", "\"0,4\"", "{}", "[]", "[0]", "[0,4,4]", "[-0,4]", "[0,-4]",
                              "[0.0,4]", "[0,\"4\"]", "[false,4]", "[0,99999999999999999999]"}) {
    check_breach(offsets, with_offsets(offsets), Rule::invalid_offsets, "f: a");
  }
}

TEST_CASE("mutants of the sizes", "[io]") {
  check_breach("one element more", with_shape("[5]"), Rule::size_mismatch, "f: a");
  check_breach("one element fewer", with_shape("[3]"), Rule::size_mismatch, "f: a");
  check_breach("none", with_shape("[4,0]"), Rule::size_mismatch, "f: a");
  check_breach("a scalar of a byte", with_shape("[]"), Rule::size_mismatch, "f: a");
  check_breach("another dtype", with_dtype("\"I16\""), Rule::size_mismatch, "f: a");
  check_breach("2^62 elements", with_shape("[4611686018427387904]"), Rule::size_mismatch, "f: a");
  check_breach("2^63 elements", with_shape("[9223372036854775808]"), Rule::size_overflow, "f: a");
  check_breach("2^33 x 2^33", with_shape("[8589934592,8589934592]"), Rule::size_overflow, "f: a");
  check_breach("2^32 x 2^32, which is 0 in 64 bits", with_shape("[4294967296,4294967296]"), Rule::size_overflow,
               "f: a");
  check_breach("4 x (2^62 + 1), which is 4 in 64 bits", with_shape("[4,4611686018427387905]"), Rule::size_overflow,
               "f: a");
  check_breach("an overflow before a zero", with_shape("[8589934592,8589934592,0]"), Rule::size_overflow, "f: a");
  check_breach("an overflow behind a zero", with_shape("[0,8589934592,8589934592]"), Rule::size_overflow, "f: a");
  check_breach("an overflow by the element's size",
               with_header(R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,4]}})"),
               Rule::size_overflow, "f: a");
}

TEST_CASE("mutants of the offsets", "[io]") {
  check_breach("reversed", with_offsets("[4,0]"), Rule::offsets_reversed, "f: a");
  check_breach("one byte beyond", with_offsets("[0,5]"), Rule::offsets_beyond_data, "f: a");
  check_breach("2^64 - 1", with_offsets("[0,18446744073709551615]"), Rule::offsets_beyond_data, "f: a");
  check_breach("beyond, of 4 bytes", with_offsets("[18446744073709551611,18446744073709551615]"),
               Rule::offsets_beyond_data, "f: a");
  check_breach("no data", safetensors_bytes("{" + tensor("a", 0, 4) + "}"), Rule::offsets_beyond_data, "f: a");
  check_breach("the same bytes twice", with_header("{" + tensor("a", 0, 4) + "," + tensor("b", 0, 4) + "}"),
               Rule::overlap, "f: b");
  check_breach("one byte twice", with_header("{" + tensor("b", 2, 4) + "," + tensor("a", 0, 3) + "}"), Rule::overlap,
               "f: b");
  check_breach("one inside another", with_header("{" + tensor("a", 0, 4) + "," + tensor("b", 1, 2) + "}"),
               Rule::overlap, "f: b");
  check_breach("an empty one inside another", with_header("{" + tensor("a", 0, 4) + "," + tensor("b", 2, 2) + "}"),
               Rule::overlap, "f: b");
  check_breach("a hole", with_header("{" + tensor("a", 0, 1) + "," + tensor("b", 2, 4) + "}"), Rule::hole, "f: b");
  check_breach("a hole at the beginning", with_header("{" + tensor("a", 1, 4) + "}"), Rule::hole, "f: a");
  check_breach("a hole at the end", with_header("{" + tensor("a", 0, 3) + "}"), Rule::unused_data);
  check_breach("data without tensors", with_header("{}"), Rule::unused_data);
}

TEST_CASE("every truncation of a valid file is refused", "[io]") {
  const std::string bytes = with_metadata(R"({"b":"c"})");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_THROWS_AS(parsed(bytes.substr(0, size)), SafetensorsFailure);
  }
  CHECK_THROWS_AS(parsed(bytes + "x"), SafetensorsFailure);
}

TEST_CASE("claims of sizes take no memory", "[io]") {
  // Of the header's length, of a shape and of offsets. What the process has held at most does not grow.
  rusage usage{};
  for (const std::string& bytes :
       {with_length(99'999'999, "{}"), with_shape("[1152921504606846976]"), with_offsets("[0,1152921504606846976]")}) {
    getrusage(RUSAGE_SELF, &usage);
    const long before = usage.ru_maxrss;
    CHECK_THROWS_AS(parsed(bytes), SafetensorsFailure);
    getrusage(RUSAGE_SELF, &usage);
    CHECK(usage.ru_maxrss - before < 8 * 1024);  // KiB
  }
}

TEST_CASE("a hostile name is told briefly", "[io]") {
  const std::string name(100'000, 'x');
  const auto failure = failure_of<SafetensorsFailure>([&] { parsed(with_header("{\"\\u001b[2J" + name + "\":1}")); });
  CHECK(failure.tensor().size() < 100);
  CHECK(failure.tensor().find('\x1B') == std::string::npos);
}
