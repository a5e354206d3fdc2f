#include <linformer/text/listops.hpp>

#include <linformer/text/dataset.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>

using namespace linformer;
using linformer_test::error_of;

TEST_CASE("words have ids and come back", "[listops]") {
  const ListOpsTokenizer tokenizer;
  const std::string text = "[MAX 0 [MIN 4 7 ] [MED 9 ] [SM 1 2 ] 5 ]";
  const auto tokens = tokenizer.encode(text);
  CHECK(tokens == std::vector<TokenId>{11, 0, 10, 4, 7, 14, 12, 9, 14, 13, 1, 2, 14, 5, 14});
  CHECK(tokenizer.decode(tokens) == text);
  CHECK(tokenizer.vocabulary_size() == 16);
  CHECK(tokenizer.special_tokens() == SpecialTokens{.pad = 15});
  CHECK(tokenizer.decode(std::vector<TokenId>{3, 15, 15}) == "3");
  CHECK(tokenizer.encode(" ( ( [SM 3 )\t] )\n") == std::vector<TokenId>{13, 3, 14});
}

TEST_CASE("operators are the minimum, maximum, median and sum modulo 10", "[listops]") {
  CHECK(evaluate_listops("7") == 7);
  CHECK(evaluate_listops("[MIN 4 2 9 ]") == 2);
  CHECK(evaluate_listops("[MAX 4 2 9 ]") == 9);
  CHECK(evaluate_listops("[SM 4 2 9 9 ]") == 4);
  CHECK(evaluate_listops("[MED 9 1 4 ]") == 4);
  CHECK(evaluate_listops("[MED 9 1 ]") == 5);
  CHECK(evaluate_listops("[MED 9 1 4 3 ]") == 3);  // 3.5, truncated
  CHECK(evaluate_listops("[MED 6 6 6 0 ]") == 6);
  CHECK(evaluate_listops("[MED 0 ]") == 0);
  CHECK(evaluate_listops("[MAX 2 9 [MIN 4 7 ] 0 ]") == 9);  // the paper's example
  CHECK(evaluate_listops("( ( ( [SM 6 ) ( ( ( [MED 1 ) 4 ) ] ) ) ] )") == 8);
}

TEST_CASE("what is no expression is an error that names the token", "[listops]") {
  const auto place = [](const char* text) {
    const Error error = error_of([&] { static_cast<void>(evaluate_listops(text)); });
    CHECK(error.code() == ErrorCode::malformed_input);
    return error.tensor().substr(error.tensor().rfind(' ') + 1) + ": " + error.expected() + ", " + error.actual();
  };
  CHECK(place("") == "0: an expression, the end");
  CHECK(place("[MAX 1 2") == "3: an argument or ], the end");
  CHECK(place("[MAX ]") == "1: an argument, ]");
  CHECK(place("]") == "0: an operator before, ]");
  CHECK(place("1 2") == "1: the end, 2");
  CHECK(place("[SM 1 ] ]") == "3: the end, ]");
  CHECK(place("[SM 1 [AVG 2 ] ]") == "2: a digit, [MIN, [MAX, [MED, [SM or ], [AVG");
  CHECK(place("[SM 10 ]") == "1: a digit, [MIN, [MAX, [MED, [SM or ], 10");
  CHECK(place("( ( [SM 1 ) ]") == "3: parentheses that balance, the end");
  CHECK(place("[SM ) 1 ]") == "1: an open parenthesis before, )");
  for (const TokenId id : {-1, 15, 16}) {
    const std::vector<TokenId> tokens{13, 1, id, 14};
    CHECK(error_of([&] { static_cast<void>(evaluate_listops(tokens)); }).actual() == "id " + std::to_string(id));
  }
}

TEST_CASE("an expression may be a hundred thousand operators deep", "[listops]") {
  const std::size_t depth = 100'000;
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < depth; ++i) tokens.insert(tokens.end(), {listops_sum, 1});
  tokens.push_back(7);
  tokens.insert(tokens.end(), depth, listops_close);
  CHECK(evaluate_listops(tokens) == 7);  // 100,000 ones and 7
  tokens.pop_back();
  CHECK(error_of([&] { static_cast<void>(evaluate_listops(tokens)); }).actual() == "the end");
}

TEST_CASE("an expression is written as a binary tree", "[listops]") {
  const ListOpsTokenizer tokenizer;
  CHECK(listops_tree_text(tokenizer.encode("5")) == "5");
  CHECK(listops_tree_text(tokenizer.encode("[MAX 2 9 ]")) == "( ( ( [MAX 2 ) 9 ) ] )");
  CHECK(listops_tree_text(tokenizer.encode("[SM 6 [MED 1 4 ] ]")) == "( ( ( [SM 6 ) ( ( ( [MED 1 ) 4 ) ] ) ) ] )");
  CHECK(error_of([&] { static_cast<void>(listops_tree_text(tokenizer.encode("1 1"))); }).code() ==
        ErrorCode::malformed_input);
}

TEST_CASE("all 10,000 rows of the original test set have the value that they state, and are written alike",
          "[listops][data]") {
  const auto path = linformer_test::data_file("listops/test_d20s.tsv");
  if (!path) return;
  const Dataset data = read_examples(*path, {.first = "text", .classes = 10, .columns = {"label", "text"}});
  CHECK(data.examples.size() == 10'000);
  const ListOpsTokenizer tokenizer;
  Index right = 0, alike = 0;
  for (const Example& example : data.examples) {
    const auto tokens = tokenizer.encode(example.first);
    right += evaluate_listops(tokens) == example.label;
    alike += listops_tree_text(tokens) == example.first;
  }
  CHECK(right == 10'000);
  CHECK(alike == 10'000);
}
