#include <linformer/core/file_descriptor.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace linformer;
using detail::FileDescriptor;

namespace {

int open_root() { return ::open("/", O_RDONLY | O_CLOEXEC); }
bool is_open(int number) { return ::fcntl(number, F_GETFD) != -1; }

}  // namespace

TEST_CASE("a file descriptor closes its file once", "[io]") {
  const int number = open_root();
  {
    FileDescriptor file(number);
    CHECK(file);
    CHECK(file.number() == number);
    CHECK(is_open(number));
  }
  CHECK_FALSE(is_open(number));

  FileDescriptor closed(open_root());
  CHECK(closed.close() == 0);
  CHECK_FALSE(closed);
  CHECK(closed.close() == 0);
  CHECK(FileDescriptor(1 << 30).close() == EBADF);
}

TEST_CASE("a file descriptor moves its file", "[io]") {
  const int first = open_root(), second = open_root();
  FileDescriptor a(first);
  FileDescriptor b(std::move(a));
  CHECK(b.number() == first);
  {
    FileDescriptor c(second);
    b = std::move(c);
  }
  CHECK(b.number() == second);
  CHECK_FALSE(is_open(first));
  CHECK(is_open(second));
}

TEST_CASE("a system call is repeated while signals interrupt it, and no longer", "[io]") {
  int calls = 0;
  const auto interrupted_twice = [&] {
    errno = EINTR;
    return ++calls < 3 ? -1 : 7;
  };
  CHECK(detail::until_uninterrupted(interrupted_twice) == 7);
  CHECK(calls == 3);
  calls = 0;
  const auto failing = [&] {
    ++calls;
    errno = ENOSPC;
    return -1;
  };
  CHECK(detail::until_uninterrupted(failing) == -1);
  CHECK(calls == 1);
}

TEST_CASE("a failure of the system carries the path and the system's words", "[io]") {
  const Error error = failure_of([] { detail::fail_file_access("a/b", "a readable file", ENOENT); });
  CHECK(error.code() == ErrorCode::file_access);
  CHECK(error.tensor() == "a/b");
  CHECK(error.expected() == "a readable file");
  CHECK(error.actual() == "No such file or directory");
}
