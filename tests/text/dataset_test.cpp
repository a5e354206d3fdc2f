#include <linformer/text/dataset.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <algorithm>
#include <string>

using namespace linformer;
using linformer_test::data_file;
using linformer_test::error_of;

namespace {

Index rows_of(const Dataset& data, int label) {
  return std::count_if(data.examples.begin(), data.examples.end(),
                       [&](const auto& each) { return each.label == label; });
}

}  // namespace

TEST_CASE("examples come from the columns that are named", "[dataset]") {
  const linformer_test::TemporaryFolder folder;
  const auto pairs = folder.write("pairs.tsv", "label\tid\tquestion\tsentence\n1\t7\tWhy ?\tSo .\n0\t8\t\"\t\n");
  CHECK(read_examples(pairs, {.first = "question", .second = "sentence"}).examples ==
        std::vector<Example>{{"Why ?", "So .", 1}, {"\"", "", 0}});
  CHECK(read_examples(pairs, {.first = "sentence", .label = ""}).examples ==
        std::vector<Example>{{"So .", "", -1}, {"", "", -1}});
  const auto quoted = folder.write("quoted.csv", ",class,tweet\n0,2,\"a\nb\"\n");
  CHECK(read_examples(quoted, {.first = "tweet", .label = "class"}).examples == std::vector<Example>{{"a\nb", "", 2}});
  const auto bare = folder.write("bare", "3,x\n");
  const ExampleConfig config{.first = "x", .label = "y", .format = TableFormat::csv, .columns = {"y", "x"}};
  CHECK(read_examples(bare, config).examples == std::vector<Example>{{"x", "", 3}});
}

TEST_CASE("labels may have names", "[dataset]") {
  const linformer_test::TemporaryFolder folder;
  const auto path = folder.write("x.tsv", "sentence\tlabel\na\tnot_entailment\nb\tentailment\nc\t0\n");
  const Dataset data =
      read_examples(path, {.label_names = {"entailment", "not_entailment"}, .on_malformed = OnMalformed::skip});
  CHECK(data.examples == std::vector<Example>{{"a", "", 1}, {"b", "", 0}});
  CHECK(data.report.first.at(0).expected == "a label in column 'label': entailment, not_entailment");
}

TEST_CASE("a row whose label is no class is malformed", "[dataset]") {
  const linformer_test::TemporaryFolder folder;
  std::string bytes = "sentence\tlabel\n";
  for (const char* label : {"0", "2", "-1", "", "1x", " 1", "+1", "99999999999", "1"}) {
    bytes += "x\t" + std::string(label) + "\n";
  }
  const auto path = folder.write("x.tsv", bytes);
  const Dataset data = read_examples(path, {.classes = 2, .on_malformed = OnMalformed::skip});
  CHECK(data.examples == std::vector<Example>{{"x", "", 0}, {"x", "", 1}});
  CHECK(data.report.accepted == 2);
  CHECK(data.report.malformed == 7);
  CHECK(data.report.first.at(0).line == 3);
  CHECK(data.report.first.at(0).actual == "'2'");
  const Error error = error_of([&] { static_cast<void>(read_examples(path, {.classes = 2})); });
  CHECK(error.tensor() == path.string() + ":3");
  CHECK(error.expected() == "a label in column 'label': a number from 0 to 1");
}

TEST_CASE("a column that is not there is named", "[dataset]") {
  const linformer_test::TemporaryFolder folder;
  const auto path = folder.write("x.tsv", "text\tlabel\n");
  CHECK(error_of([&] { static_cast<void>(read_examples(path)); }).expected() == "one column 'sentence'");
}

TEST_CASE("the real tables have as many rows as their sources say", "[dataset][data]") {
  if (const auto path = data_file("sst2/dev.tsv")) {
    const Dataset data = read_examples(*path, {.classes = 2});
    CHECK(data.examples.size() == 872);
    CHECK(rows_of(data, 1) == 444);
    CHECK(data.examples[0].first == "it 's a charming and often affecting journey . ");
  }
  if (const auto path = data_file("qnli/dev.tsv")) {
    CHECK(read_examples(*path, {.first = "question", .second = "sentence", .classes = 2}).examples.size() == 5463);
  }
  if (const auto path = data_file("qqp/test_10k.tsv")) {
    const Dataset data = read_examples(*path, {.first = "question1", .second = "question2", .classes = 2});
    CHECK(rows_of(data, 0) == 5000);
    CHECK(rows_of(data, 1) == 5000);
  }
  if (const auto path = data_file("hate-speech/davidson.csv")) {
    const Dataset data = read_examples(*path, {.first = "tweet", .label = "class", .classes = 3});
    CHECK(data.examples.size() == 24783);
    CHECK(rows_of(data, 0) == 1430);  // as Davidson et al. 2017 count them
    CHECK(rows_of(data, 1) == 19190);
    CHECK(rows_of(data, 2) == 4163);
    const auto lines = [](const Example& each) { return each.first.find('\n') != std::string::npos; };
    CHECK(std::count_if(data.examples.begin(), data.examples.end(), lines) == 917);
  }
}
