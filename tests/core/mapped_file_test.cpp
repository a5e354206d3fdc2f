#include <linformer/core/mapped_file.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

#include <string_view>

using namespace linformer;

namespace {

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace

TEST_CASE("a mapped file shows the file's bytes, wherever it is moved", "[io]") {
  const TemporaryFolder folder;
  const std::string text = std::string("one\0two", 7) + std::string(10000, 'x');
  put(folder.file("a"), text);
  put(folder.file("b"), "other");
  MappedFile a(folder.file("a"));
  CHECK(text_of(a) == text);

  const std::byte* const place = a.bytes().data();
  MappedFile moved(std::move(a));
  CHECK(text_of(moved) == text);
  CHECK(moved.bytes().data() == place);
  CHECK(a.bytes().empty());  // NOLINT(bugprone-use-after-move): its state is defined

  MappedFile b(folder.file("b"));
  b = std::move(moved);
  CHECK(b.bytes().data() == place);
}

TEST_CASE("a mapped file outlives the file's name", "[io]") {
  const TemporaryFolder folder;
  put(folder.file("a"), "kept");
  const MappedFile file(folder.file("a"));
  std::filesystem::remove(folder.file("a"));
  CHECK(text_of(file) == "kept");
}

TEST_CASE("an empty file maps to no bytes", "[io]") {
  const TemporaryFolder folder;
  put(folder.file("empty"), "");
  CHECK(MappedFile(folder.file("empty")).bytes().empty());
}

TEST_CASE("what cannot be mapped is named", "[io]") {
  const TemporaryFolder folder;
  const std::string absent = folder.file("absent");
  const Error missing = failure_of([&] { MappedFile file(absent); });
  CHECK(missing.code() == ErrorCode::file_access);
  CHECK(missing.tensor() == absent);
  CHECK(missing.actual() == "No such file or directory");

  const Error directory = failure_of([&] { MappedFile file(folder.path()); });
  CHECK(directory.code() == ErrorCode::file_access);
  CHECK(directory.expected() == "a regular file");

  // A pipe without a writer must not be waited for.
  REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  CHECK(failure_of([&] { MappedFile file(folder.file("pipe")); }).expected() == "a regular file");
}
