#include <linformer/text/read_report.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

using namespace linformer;

TEST_CASE("a report tells the place of what it rejects, a line or a whole file", "[read_report]") {
  ReadReport report;
  const auto place = [&](Index line) {
    return linformer_test::error_of([&] { report.reject({"f", line, "x", "y"}, OnMalformed::fail); }).tensor();
  };
  CHECK(place(3) == "f:3");
  CHECK(place(0) == "f");
  CHECK(report.malformed == 0);
  report.reject({"f", 3, "x", "y"}, OnMalformed::skip);
  CHECK(report.malformed == 1);
  CHECK(report.first.at(0).line == 3);
}

TEST_CASE("only text that was changed counts as replaced", "[read_report]") {
  ReadReport report;
  std::string good = "\xC3\xA4", bad = "\xC3", kept = "\xC3";
  CHECK(report.check_utf8(good, OnInvalidUtf8::replace).empty());
  CHECK(report.check_utf8(bad, OnInvalidUtf8::replace).empty());
  CHECK(report.check_utf8(kept, OnInvalidUtf8::keep).empty());
  CHECK(report.check_utf8(kept, OnInvalidUtf8::malformed) == "an invalid byte at position 0");
  CHECK(bad == "\xEF\xBF\xBD");
  CHECK(kept == "\xC3");
  CHECK(report.replaced == 1);
}
