#include <linformer/attention/project_context.hpp>

#include "support/attention_support.hpp"

TEST_CASE("cuts are between 256 and 2048 tokens, multiples of 64, about an eighth of the sequence") {
  CHECK(cut_length(1) == 256);
  CHECK(cut_length(4096) == 512);
  CHECK(cut_length(8192) == 1024);
  CHECK(cut_length(10'000'000) == 2048);
  for (Index n = 1; n < 40'000; n += 97) {
    const Index length = cut_length(n);
    CAPTURE(n, length);
    CHECK(length % 64 == 0);
    CHECK((length >= 256 && length <= 2048));
    CHECK((length == 256 || length == 2048 || (length >= n / 8 && length < n / 8 + 64)));
  }
}

TEST_CASE("projected rows that no token reaches are left out, with their scores") {
  // Windows of 12 tokens in 5 rows: 0-1, 2-3, 4-6, 7-8, 9-11.
  auto attention = random_attention<double>({.sequence_length = 12,
                                             .model_width = 4,
                                             .heads = 2,
                                             .projected_length = 5,
                                             .projection = {.kind = ProjectionKind::mean_pooling, .log_count = true}});
  const Matrix<double> x = random_matrix<double>(12, 4, 1);
  const TokenMask mask = to_mask({true, false, false, false, true, true, true, false, false, false, false, true});
  auto context = attention.empty_context();
  attention.accumulate(context, x, 0, {.mask = mask});
  const auto kv = attention.keys_values(context);
  REQUIRE(kv.heads.size() == 2);
  for (const auto& head : kv.heads) {
    CHECK(head.rows == 3);
    CHECK(head.columns_of_p == 5);
    CHECK(head.columns == std::vector<Index>{0, 2, 4});
    REQUIRE(head.score_bias.size() == 3);
    CHECK(head.score_bias[0] == 0);
    CHECK(head.score_bias[1] == Approx(std::log(3.0)).epsilon(1e-15));
    CHECK(head.score_bias[2] == 0);
  }
  CHECK(kv.rows() == 3);
  CHECK(kv.width() == 4);
}
