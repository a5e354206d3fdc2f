#include <linformer/io/safetensors.hpp>
#include <linformer/io/safetensors_writer.hpp>

#include "io/safetensors_bytes.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

using namespace linformer;
using Rule = SafetensorsError;

namespace {

constexpr std::array<float, 6> floats{0.1F, -0.0F, 3, 1e-45F, std::numeric_limits<float>::infinity(), -7};
constexpr std::array<double, 2> doubles{0.1, -1e300};
const std::array<std::byte, 3> letters{std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};

SafetensorsTensor floats_of(const std::string& name, std::vector<Index> shape, std::size_t count = 6) {
  return safetensors_tensor(name, shape, std::span<const float>(floats).first(count));
}

std::vector<SafetensorsTensor> sample_tensors() {
  return {{.name = "letters", .dtype = Dtype::u8, .shape = {3}, .bytes = letters},
          floats_of("z", {2, 3}),
          floats_of("a \u00E9\"\n", {6, 1}),
          floats_of("empty", {0, 5}, 0),
          floats_of("scalar", {}, 1),
          safetensors_tensor("doubles", std::vector<Index>{2}, std::span<const double>(doubles))};
}

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

TEST_CASE("a file is what the format's documentation says, byte for byte", "[io]") {
  const TemporaryFolder folder;
  const std::array<float, 1> two{2};
  write_safetensors(folder.file("f"), {safetensors_tensor("w", std::vector<Index>{1, 1}, std::span<const float>(two)),
                                       {.name = "b", .dtype = Dtype::u8, .shape = {3}, .bytes = letters}});
  const std::string header =
      R"({"w":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]}})";
  const std::string padding((8 - header.size() % 8) % 8, ' ');
  CHECK(contents(folder.file("f")) == safetensors_bytes(header + padding, std::string("\0\0\0\x40", 4) + "abc"));

  write_safetensors(folder.file("f"), {}, {{"k", "v"}});
  CHECK(contents(folder.file("f")) == safetensors_bytes(R"({"__metadata__":{"k":"v"}}      )"));
  write_safetensors(folder.file("f"), {});
  CHECK(contents(folder.file("f")) == safetensors_bytes("{}      "));
}

TEST_CASE("what is written is read again", "[io]") {
  const TemporaryFolder folder;
  const std::map<std::string, std::string> metadata{{"format", "pt"}, {"", "K\u0304\t\"quoted\""}};
  write_safetensors(folder.file("f"), sample_tensors(), metadata);
  const auto file = SafetensorsFile::open(folder.file("f"));
  CHECK(file.metadata() == metadata);
  CHECK(file.tensors().size() == sample_tensors().size());
  for (const SafetensorsTensor& written : sample_tensors()) {
    INFO(written.name);
    const SafetensorsTensor* const read = file.find(written.name);
    REQUIRE(read != nullptr);
    CHECK(read->dtype == written.dtype);
    CHECK(read->shape == written.shape);
    CHECK(equal(read->bytes, written.bytes));
    // The map begins on a page, so the address says whether values can be read in place.
    CHECK(reinterpret_cast<std::uintptr_t>(read->bytes.data()) % dtype_size(read->dtype) == 0);
  }
  // A file can be written from a file.
  write_safetensors(folder.file("copy"), file.tensors(), file.metadata());
  CHECK(contents(folder.file("copy")) == contents(folder.file("f")));
}

TEST_CASE("the order in which tensors are given does not matter", "[io]") {
  const TemporaryFolder folder;
  auto tensors = sample_tensors();
  write_safetensors(folder.file("one"), tensors);
  std::reverse(tensors.begin(), tensors.end());
  write_safetensors(folder.file("two"), tensors);
  CHECK(contents(folder.file("one")) == contents(folder.file("two")));
}

TEST_CASE("what no file can hold is refused before anything is written", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f");
  const auto check_refused = [&](std::vector<SafetensorsTensor> tensors, std::map<std::string, std::string> metadata,
                                 Rule rule, const std::string& key) {
    const auto failure = failure_of<SafetensorsFailure>([&] { write_safetensors(path, std::move(tensors), metadata); });
    INFO(failure.what());
    CHECK(failure.rule() == rule);
    CHECK(failure.tensor() == path + ": " + key);
  };
  check_refused({floats_of("w", {6}), floats_of("v", {6}), floats_of("w", {6})}, {}, Rule::duplicate_key, "w");
  check_refused({floats_of("__metadata__", {6})}, {}, Rule::invalid_metadata, "__metadata__");
  check_refused({floats_of("w\xFF", {6})}, {}, Rule::invalid_utf8, "w...");
  check_refused({}, {{"k", "\xFF"}}, Rule::invalid_utf8, "k");
  check_refused({}, {{"k\xFF", "v"}}, Rule::invalid_utf8, "k...");
  check_refused({floats_of("w", {-2, -3})}, {}, Rule::invalid_shape, "w");
  check_refused({floats_of("w", {5})}, {}, Rule::size_mismatch, "w");
  check_refused({floats_of("w", {Index{1} << 33, Index{1} << 33})}, {}, Rule::size_overflow, "w");
  CHECK(folder.names().empty());
}

TEST_CASE("a header beyond the format's limit is refused", "[io]") {
  const TemporaryFolder folder;
  const auto failure = failure_of<SafetensorsFailure>([&] {
    write_safetensors(folder.file("f"), {}, {{"k", std::string(100'000'000, 'x')}});
  });
  CHECK(failure.rule() == Rule::header_too_long);
  CHECK(folder.names().empty());
}

TEST_CASE("a file that cannot be written is named", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("absent/f");
  const Error error = failure_of([&] { write_safetensors(path, sample_tensors()); });
  CHECK(error.code() == ErrorCode::file_access);
  CHECK(error.tensor() == path);
}
