#include <linformer/io/safetensors.hpp>

#include "io/safetensors_bytes.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

#include <cstdlib>
#include <string>
#include <vector>

using namespace linformer;
using Rule = SafetensorsError;

namespace {

/// 1, 1/3, -2 as half, bfloat16, float and double, and three bytes: written by hand, little-endian.
std::string sample_bytes() {
  return safetensors_bytes(
      R"({"__metadata__":{"made":"by hand"},"half":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},)"
      R"("brain":{"dtype":"BF16","shape":[3,1],"data_offsets":[6,12]},)"
      R"("single":{"dtype":"F32","shape":[1,3],"data_offsets":[12,24]},)"
      R"("double":{"dtype":"F64","shape":[3],"data_offsets":[24,48]},)"
      R"("bytes":{"dtype":"U8","shape":[3],"data_offsets":[48,51]}})",
      std::string("\x00\x3C\x55\x35\x00\xC0"
                  "\x80\x3F\xAB\x3E\x00\xC0"
                  "\x00\x00\x80\x3F\xAB\xAA\xAA\x3E\x00\x00\x00\xC0"
                  "\x00\x00\x00\x00\x00\x00\xF0\x3F\x55\x55\x55\x55\x55\x55\xD5\x3F\x00\x00\x00\x00\x00\x00\x00\xC0"
                  "abc",
                  51));
}

template <Scalar T>
std::vector<T> values(const SafetensorsFile& file, const std::string& name, std::vector<Index> shape) {
  std::vector<T> out(3);
  file.read<T>(name, shape, out);
  return out;
}

}  // namespace

TEMPLATE_TEST_CASE("values of four types are read into float and double", "[io]", float, double) {
  using Values = std::vector<TestType>;
  const std::string bytes = sample_bytes();
  const auto file = SafetensorsFile::parse("sample", bytes_of(bytes));
  // The nearest numbers to 1/3 of 11, 8, 24 and 53 bits.
  CHECK(values<TestType>(file, "half", {3}) == Values{1, TestType(0x5.55p-4), -2});
  CHECK(values<TestType>(file, "brain", {3, 1}) == Values{1, TestType(0x5.58p-4), -2});
  CHECK(values<TestType>(file, "single", {1, 3}) == Values{1, TestType(1.0F / 3.0F), -2});
  CHECK(values<TestType>(file, "double", {3}) == Values{1, static_cast<TestType>(1.0 / 3.0), -2});
}

TEST_CASE("a file lists its tensors in the order of their bytes, and its metadata", "[io]") {
  const std::string bytes = sample_bytes();
  const auto file = SafetensorsFile::parse("sample", bytes_of(bytes));
  CHECK(file.name() == "sample");
  std::string names;
  for (const SafetensorsTensor& tensor : file.tensors()) names += tensor.name + " ";
  CHECK(names == "half brain single double bytes ");
  CHECK(file.metadata() == std::map<std::string, std::string>{{"made", "by hand"}});
  REQUIRE(file.find("bytes") != nullptr);
  CHECK(detail::characters(file.find("bytes")->bytes) == "abc");
  CHECK(file.find("byte") == nullptr);
  CHECK(file.find("__metadata__") == nullptr);
}

TEST_CASE("what was not asked for is refused, and nothing is written", "[io]") {
  const std::string bytes = sample_bytes();
  const auto file = SafetensorsFile::parse("sample", bytes_of(bytes));
  std::vector<float> out(3, 7);
  const auto breach = [&](const std::string& name, std::vector<Index> shape) {
    const auto failure = failure_of<SafetensorsFailure>([&] { file.read<float>(name, shape, out); });
    CHECK(failure.tensor() == "sample: " + name);
    CHECK(out == std::vector<float>(3, 7));
    return failure;
  };
  CHECK(breach("absent", {3}).rule() == Rule::missing_tensor);
  CHECK(breach("absent", {3}).code() == ErrorCode::malformed_input);
  CHECK(breach("bytes", {3}).rule() == Rule::unreadable_dtype);
  CHECK(breach("bytes", {3}).code() == ErrorCode::unsupported);
  for (const std::vector<Index>& shape : {std::vector<Index>{3}, {3, 1}, {1, 3, 1}, {1, 4}, {}}) {
    const auto failure = breach("single", shape);
    CHECK(failure.rule() == Rule::shape_mismatch);
    CHECK(failure.code() == ErrorCode::shape_mismatch);
    CHECK(failure.actual() == "[1, 3]");
  }
  CHECK(breach("brain", {1, 3}).expected() == "[1, 3]");

  std::vector<float> too_small(2, 7);
  const std::vector<Index> shape{3};
  const Error error = failure_of([&] { file.read<float>("half", shape, too_small); });
  CHECK(error.code() == ErrorCode::shape_mismatch);
  CHECK(error.expected() == "room for 3 values");
  CHECK(too_small == std::vector<float>(2, 7));
}

TEST_CASE("an opened file may be moved, and gives what the same bytes in memory give", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("sample.safetensors");
  put(path, sample_bytes());
  auto opened = SafetensorsFile::open(path);
  const SafetensorsTensor* const place = opened.find("single");
  SafetensorsFile moved = std::move(opened);
  CHECK(moved.name() == path);
  CHECK(moved.find("single") == place);
  CHECK(values<float>(moved, "single", {1, 3}) == std::vector<float>{1, 1.0F / 3.0F, -2});

  put(folder.file("empty"), safetensors_bytes("{}"));
  moved = SafetensorsFile::open(folder.file("empty"));
  CHECK(moved.tensors().empty());
  CHECK(moved.find("single") == nullptr);
}

TEST_CASE("a file that is not there, or is none, is named", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("x");
  const auto open = [&] { static_cast<void>(SafetensorsFile::open(path)); };
  CHECK(failure_of(open).code() == ErrorCode::file_access);
  put(path, "");
  const auto failure = failure_of<SafetensorsFailure>(open);
  CHECK(failure.rule() == Rule::file_too_short);
  CHECK(failure.tensor() == path);
}

TEST_CASE("files that other implementations are tested with", "[io]") {
  const char* const data = std::getenv("LINFORMER_DATA");  // NOLINT(concurrency-mt-unsafe)
  const std::string folder = std::string(data == nullptr ? "" : data) + "/safetensors/";
  if (data == nullptr || !std::filesystem::exists(folder + "overall.safetensors")) {
    WARN("skipped: LINFORMER_DATA names no folder with safetensors/overall.safetensors");
    return;
  }
  // One tensor of six elements for each letter, and all of them together.
  const std::map<std::string, Dtype> dtypes{{"B", Dtype::u8},  {"b", Dtype::i8},  {"H", Dtype::u16},
                                            {"h", Dtype::i16}, {"I", Dtype::u32}, {"i", Dtype::i32},
                                            {"e", Dtype::f16}, {"f", Dtype::f32}, {"d", Dtype::f64}};
  const auto overall = SafetensorsFile::open(folder + "overall.safetensors");
  CHECK(overall.tensors().size() == dtypes.size());
  CHECK(overall.metadata() == std::map<std::string, std::string>{{"test", "a"}});
  for (const auto& [name, dtype] : dtypes) {
    INFO(name);
    const auto file = SafetensorsFile::open(folder + name + ".safetensors");
    REQUIRE(file.tensors().size() == 1);
    REQUIRE(file.find(name) != nullptr);
    CHECK(file.find(name)->dtype == dtype);
    CHECK(file.find(name)->shape == std::vector<Index>{6});
    REQUIRE(overall.find(name) != nullptr);
    CHECK(overall.find(name)->dtype == dtype);
    CHECK(detail::characters(overall.find(name)->bytes) == detail::characters(file.find(name)->bytes));
  }
  // Each holds -3 … 2, or what they are without a sign.
  const std::vector<Index> shape{6};
  for (const char* const name : {"d", "f", "e"}) {
    std::vector<float> values(6);
    overall.read<float>(name, shape, values);
    CHECK(values == std::vector<float>{-3, -2, -1, 0, 1, 2});
  }
  CHECK(detail::characters(overall.find("b")->bytes) == std::string("\xFD\xFE\xFF\0\1\2", 6));
}
