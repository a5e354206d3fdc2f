#include <linformer/text/table.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>

using namespace linformer;
using linformer_test::error_of;

namespace {

using Fields = std::vector<std::string>;
constexpr auto csv = TableFormat::csv, tsv = TableFormat::tsv;

struct Read {
  std::vector<Fields> rows;
  std::vector<Index> lines;
  ReadReport report;
};

Read read(std::string_view bytes, TableConfig config) {
  const linformer_test::TemporaryFolder folder;
  TableReader reader(folder.write("table", bytes), std::move(config));
  Read result;
  for (TableRow row; reader.next(row);) {
    result.rows.push_back(row.fields);
    result.lines.push_back(row.line);
  }
  result.report = reader.report();
  return result;
}

}  // namespace

TEST_CASE("CSV fields may be quoted and hold commas, quotes and line ends", "[table]") {
  const Read result = read("a,b\r\n1,\"x, \"\"y\"\"\r\nz\"\r\n\"\",2\n\"3\"\"\",\n4,last", {.format = csv});
  CHECK(result.rows == std::vector<Fields>{{"1", "x, \"y\"\r\nz"}, {"", "2"}, {"3\"", ""}, {"4", "last"}});
  CHECK(result.lines == std::vector<Index>{2, 4, 5, 6});
  CHECK(result.report.accepted == 4);
}

TEST_CASE("TSV splits at tabs whatever quotes say", "[table]") {
  const Read result = read("a\tb\n\"x\ty\"\r\n\t\n\"\"\"\t,", {.format = tsv});
  CHECK(result.rows == std::vector<Fields>{{"\"x", "y\""}, {"", ""}, {"\"\"\"", ","}});
}

TEST_CASE("a byte order mark belongs to no column, and empty lines are no rows", "[table]") {
  const linformer_test::TemporaryFolder folder;
  for (const auto format : {csv, tsv}) {
    const std::string divider = format == csv ? "," : "\t";
    TableReader reader(folder.write("table", "\xEF\xBB\xBF" + ("a" + divider + "b\n\n1" + divider + "2\n\n")),
                       {.format = format});
    CHECK(reader.columns() == Fields{"a", "b"});
    CHECK(reader.column("b") == 1);
    TableRow row;
    REQUIRE(reader.next(row));
    CHECK(row.fields == Fields{"1", "2"});
    CHECK(row.line == 3);
    CHECK_FALSE(reader.next(row));
  }
  CHECK(read("one\n\nx\n", {.format = tsv}).rows == std::vector<Fields>{{""}, {"x"}});  // of one column they are
}

TEST_CASE("a table without a header row has the columns that it is said to have", "[table]") {
  CHECK(read("0\tx\n1\ty\n", {.format = tsv, .columns = {"label", "text"}}).rows ==
        std::vector<Fields>{{"0", "x"}, {"1", "y"}});
}

TEST_CASE("malformed rows are skipped, counted and reported with their line", "[table]") {
  const Read result = read("a,b\n1,2\n3\n4,5,6\n7,x\"y\n8,\"x\"y\n9,\"x\ny\"\n10,\"open\n",
                           {.format = csv, .on_malformed = OnMalformed::skip});
  CHECK(result.rows == std::vector<Fields>{{"1", "2"}, {"9", "x\ny"}});
  CHECK(result.report.accepted == 2);
  CHECK(result.report.malformed == 5);
  REQUIRE(result.report.first.size() == 5);
  std::vector<Index> lines;
  for (const auto& each : result.report.first) lines.push_back(each.line);
  CHECK(lines == std::vector<Index>{3, 4, 5, 6, 9});
  CHECK(result.report.first[0].expected == "2 fields");
  CHECK(result.report.first[1].actual == "3");
  CHECK(result.report.first[2].actual == "a quote within a field that is not quoted");
  CHECK(result.report.first[3].actual == "text after a closing quote");
  CHECK(result.report.first[4].actual == "a quote that nothing closes");
}

TEST_CASE("the report keeps the first few and counts all", "[table]") {
  std::string bytes = "a\tb\n";
  for (int i = 0; i < 50; ++i) bytes += "x\n";
  const Read result = read(bytes, {.format = tsv, .on_malformed = OnMalformed::skip});
  CHECK(result.report.malformed == 50);
  CHECK(result.report.first.size() == ReadReport::kept);
}

TEST_CASE("a malformed row fails where that is asked for, with file and line", "[table]") {
  const Error error = error_of([] { read("a\tb\n1\t2\n3\n", {.format = tsv}); });
  CHECK(error.code() == ErrorCode::malformed_input);
  CHECK(error.tensor().ends_with("/table:3"));
  CHECK(error.expected() == "2 fields");
  CHECK(error.actual() == "1");
}

TEST_CASE("invalid UTF-8 is kept, replaced or malformed", "[table]") {
  const std::string bytes = "a\tb\n1\t\xFFx\n2\ty\n";
  CHECK(read(bytes, {}).rows == std::vector<Fields>{{"1", "\xFFx"}, {"2", "y"}});
  const Read replaced = read(bytes, {.on_invalid_utf8 = OnInvalidUtf8::replace});
  CHECK(replaced.rows == std::vector<Fields>{{"1", "\xEF\xBF\xBDx"}, {"2", "y"}});
  CHECK(replaced.report.replaced == 1);
  const Read left_out = read(bytes, {.on_malformed = OnMalformed::skip, .on_invalid_utf8 = OnInvalidUtf8::malformed});
  CHECK(left_out.rows == std::vector<Fields>{{"2", "y"}});
  CHECK(left_out.report.first.at(0).expected == "UTF-8 in column 'b'");
}

TEST_CASE("a header must be there, and name a column once", "[table]") {
  const linformer_test::TemporaryFolder folder;
  const auto open = [&](std::string_view bytes) { return TableReader(folder.write("table", bytes)); };
  CHECK(error_of([&] { open(""); }).actual() == "an empty file");
  const TableReader reader = open("a\tb\ta\n");
  CHECK(error_of([&] { static_cast<void>(reader.column("c")); }).actual() == "'a', 'b', 'a'");
  CHECK(error_of([&] { static_cast<void>(reader.column("a")); }).code() == ErrorCode::malformed_input);
  CHECK(error_of([&] { TableReader(folder.path() / "absent"); }).code() == ErrorCode::file_access);
}
