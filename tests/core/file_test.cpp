#include <linformer/core/file.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>

using namespace linformer;
using linformer_test::error_of;

TEST_CASE("a file comes back byte by byte, and replaces an older one", "[file]") {
  const linformer_test::TemporaryFolder folder;
  const auto path = folder.path() / "file";
  std::string bytes(200'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i % 251);
  write_file(path, bytes);
  CHECK(read_file(path) == bytes);
  write_file(path, "");
  CHECK(read_file(path).empty());
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);  // no sibling is left
}

TEST_CASE("a file that cannot be read or written is an error with its path", "[file]") {
  const linformer_test::TemporaryFolder folder;
  const auto absent = folder.path() / "absent";
  const Error error = error_of([&] { static_cast<void>(read_file(absent)); });
  CHECK(error.code() == ErrorCode::file_access);
  CHECK(error.tensor() == absent.string());
  CHECK(error.actual() == "No such file or directory");
  CHECK(error_of([&] { static_cast<void>(read_file(folder.path())); }).actual() == "Is a directory");
  CHECK(error_of([&] { write_file(absent / "below", "x"); }).code() == ErrorCode::file_access);
}

TEST_CASE("a write that fails leaves what was there, and no sibling", "[file]") {
  const linformer_test::TemporaryFolder folder;
  const auto inside = folder.write("taken/inside", "kept");  // a folder with a file gives way to no file
  CHECK(error_of([&] { write_file(folder.path() / "taken", "new"); }).code() == ErrorCode::file_access);
  CHECK(read_file(inside) == "kept");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}
