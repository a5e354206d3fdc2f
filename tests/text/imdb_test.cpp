#include <linformer/text/imdb.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

using namespace linformer;
using linformer_test::error_of;

TEST_CASE("reviews come negative first, each class by name", "[imdb]") {
  const linformer_test::TemporaryFolder folder;
  for (const auto& [name, text] : {std::pair{"neg/2_1.txt", "bad"}, std::pair{"pos/9_7.txt", "fine"},
                                   std::pair{"neg/10_4.txt", "poor\n"}, std::pair{"pos/0_10.txt", "great"}}) {
    static_cast<void>(folder.write(name, text));
  }
  const Dataset data = read_imdb(folder.path());
  CHECK(data.examples == std::vector<Example>{{"poor\n", "", 0}, {"bad", "", 0}, {"great", "", 1}, {"fine", "", 1}});
  CHECK(data.report.accepted == 4);
}

TEST_CASE("files of another name or rating, or no UTF-8, are malformed", "[imdb]") {
  const linformer_test::TemporaryFolder folder;
  for (const char* name : {"neg/1_7.txt", "neg/x_1.txt", "neg/1_1", "neg/3.txt", "neg/3_.txt", "pos/1_4.txt",
                           "pos/2_11.txt", "pos/5_8.txt"}) {
    static_cast<void>(folder.write(name, "text"));
  }
  static_cast<void>(folder.write("pos/6_8.txt", "\xFF"));
  const Dataset data = read_imdb(folder.path(), OnMalformed::skip, OnInvalidUtf8::malformed);
  CHECK(data.examples == std::vector<Example>{{"text", "", 1}});
  CHECK(data.report.malformed == 8);
  const Error error = error_of([&] { static_cast<void>(read_imdb(folder.path())); });
  CHECK(error.tensor() == (folder.path() / "neg/1_1").string());
  CHECK(error.expected() == "ID_RATING.txt with a rating from 1 to 4");
}

TEST_CASE("a split without its folders is an error", "[imdb]") {
  const linformer_test::TemporaryFolder folder;
  const Error error = error_of([&] { static_cast<void>(read_imdb(folder.path())); });
  CHECK(error.code() == ErrorCode::file_access);
  CHECK(error.tensor() == (folder.path() / "neg").string());
}
