#include <linformer/text/documents.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <numeric>
#include <string>

using namespace linformer;

namespace {

using Texts = std::vector<std::string>;

Texts read(std::string_view bytes, DocumentBreak break_at) {
  const linformer_test::TemporaryFolder folder;
  return read_documents(folder.write("text", bytes), {.break_at = break_at}).texts;
}

}  // namespace

TEST_CASE("a file is one document, or one a line, or one a paragraph", "[documents]") {
  const std::string bytes = "a\nb\r\n \t\n\nc";
  CHECK(read(bytes, DocumentBreak::none) == Texts{bytes});
  CHECK(read(bytes, DocumentBreak::line) == Texts{"a", "b", "c"});
  CHECK(read(bytes, DocumentBreak::blank_line) == Texts{"a\nb\r\n", "c"});
  for (const auto each :
       {DocumentBreak::none, DocumentBreak::line, DocumentBreak::blank_line, DocumentBreak::heading}) {
    CHECK(read("", each).empty());
    CHECK(read("\n\n", each).empty());
  }
}

TEST_CASE("a heading of the first level begins an article", "[documents]") {
  const std::string one = " \n = One = \n \n text \n \n = = Part = = \n \n x \n = a ; b = \n y \n \n";
  const std::string two = " = Two : = x = \n \n text \n", three = " \n = = = Deep = = = \n \n";
  CHECK(read(one + two + three, DocumentBreak::heading) == Texts{one, two + three});
  CHECK(read("before\n \n" + two, DocumentBreak::heading) == Texts{"before\n \n", two});
}

TEST_CASE("a document that is no UTF-8 is replaced or left out", "[documents]") {
  const linformer_test::TemporaryFolder folder;
  const auto path = folder.write("text", "a\n\xFF\nb\n");
  const Documents left_out = read_documents(path, {.break_at = DocumentBreak::line,
                                                   .on_malformed = OnMalformed::skip,
                                                   .on_invalid_utf8 = OnInvalidUtf8::malformed});
  CHECK(left_out.texts == Texts{"a", "b"});
  CHECK(left_out.report.first.at(0).line == 2);
  CHECK(read_documents(path, {.on_invalid_utf8 = OnInvalidUtf8::replace}).texts == Texts{"a\n\xEF\xBF\xBD\nb\n"});
}

TEST_CASE("WikiText-2 has 60 articles to validate and 60 to test", "[documents][data]") {
  for (const char* name : {"wikitext-2/valid.txt", "wikitext-2/test.txt"}) {
    if (const auto path = linformer_test::data_file(name)) {
      const Documents articles = read_documents(*path, {.break_at = DocumentBreak::heading});
      CHECK(articles.texts.size() == 60);
      CHECK(std::accumulate(articles.texts.begin(), articles.texts.end(), std::string()) == read_file(*path));
    }
  }
}
