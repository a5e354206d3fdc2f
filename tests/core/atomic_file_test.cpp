#include <linformer/core/file.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>

using namespace linformer;

namespace {

using Names = std::set<std::string>;

/// While it lives, files of this process cannot grow beyond `bytes`: a disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit old_{};
};

}  // namespace

TEST_CASE("a file is written whole, beside or in place of an old one", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  const std::string text(100000, 'x');
  write_file(path, text);
  CHECK(contents(path) == text);
  write_file(path, "short");
  CHECK(contents(path) == "short");
  write_file(path, "");
  CHECK(contents(path).empty());
  CHECK(folder.names() == Names{"a"});
}

TEST_CASE("pieces are appended, and seen by others at the commit alone", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  put(path, "old");
  AtomicFile file(path);
  file.write(bytes_of("one "));
  file.write(bytes_of("two"));
  CHECK(contents(path) == "old");
  file.commit();
  CHECK(contents(path) == "one two");
  CHECK(folder.names() == Names{"a"});
}

TEST_CASE("without a commit the old file stays and the temporary one goes", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  put(path, "old");
  {
    AtomicFile file(path);
    file.write(bytes_of("new"));
    CHECK(folder.names().size() == 2);
  }
  CHECK(contents(path) == "old");
  CHECK(folder.names() == Names{"a"});
}

TEST_CASE("a path without a folder is one in the working folder", "[io]") {
  const TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  AtomicFile file("a");
  std::filesystem::current_path(before);  // the folder is held, whatever its name means later
  file.write(bytes_of("here"));
  file.commit();
  CHECK(contents(folder.file("a")) == "here");
}

TEST_CASE("two writers of one file do not mix, and names that a killed process left are stepped over", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  const std::string left = ".linformer." + std::to_string(::getpid()) + ".0.tmp";
  put(folder.file(left), "left");
  AtomicFile first(path), second(path);
  first.write(bytes_of("first"));
  second.write(bytes_of("second"));
  second.commit();
  CHECK(contents(path) == "second");
  first.commit();
  CHECK(contents(path) == "first");
  CHECK(folder.names() == Names{"a", left});
  CHECK(contents(folder.file(left)) == "left");
}

TEST_CASE("where a disk is full the old file stays", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  put(path, "old");
  const std::string text(5000, 'x');
  const Error error = failure_of([&] {
    const FileSizeLimit limit(1000);  // the first write is cut short, the next one fails
    write_file(path, text);
  });
  CHECK(error.code() == ErrorCode::file_access);
  CHECK(error.tensor() == path);
  CHECK(error.expected() == "to write the file");
  CHECK(error.actual() == "File too large");
  CHECK(contents(path) == "old");
  CHECK(folder.names() == Names{"a"});
}

TEST_CASE("what cannot be put in place is removed", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  std::filesystem::create_directory(path);
  const Error error = failure_of([&] { write_file(path, "new"); });
  CHECK(error.code() == ErrorCode::file_access);
  CHECK(error.expected() == "to put the new file in place");
  CHECK(folder.names() == Names{"a"});
  CHECK(std::filesystem::is_directory(path));
}

TEST_CASE("a folder that is not there is named by the file's path", "[io]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("absent/a");
  const Error error = failure_of([&] { write_file(path, "new"); });
  CHECK(error.code() == ErrorCode::file_access);
  CHECK(error.tensor() == path);
  CHECK(error.actual() == "No such file or directory");
}

TEST_CASE("a write that is cut short or interrupted goes on where it stopped", "[io]") {
  const std::string text = "abcdefghij";
  std::string written;
  int calls = 0;
  const auto write_some = [&](std::span<const std::byte> rest) -> ssize_t {
    if (++calls % 2 == 1) {
      errno = EINTR;
      return -1;
    }
    const std::size_t count = std::min<std::size_t>(rest.size(), 3);
    written.append(reinterpret_cast<const char*>(rest.data()), count);
    return static_cast<ssize_t>(count);
  };
  CHECK(detail::write_all(bytes_of(text), write_some) == 0);
  CHECK(written == text);
  CHECK(calls == 8);
}

TEST_CASE("a write that fails, or takes nothing, ends", "[io]") {
  const std::string text = "x";
  const auto full = [](std::span<const std::byte>) -> ssize_t {
    errno = ENOSPC;
    return -1;
  };
  CHECK(detail::write_all(bytes_of(text), full) == ENOSPC);
  CHECK(detail::write_all(bytes_of(text), [](std::span<const std::byte>) -> ssize_t { return 0; }) == EIO);
}
