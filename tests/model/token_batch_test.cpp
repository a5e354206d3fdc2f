#include <linformer/model/token_batch.hpp>

#include "support/attention_support.hpp"

TEST_CASE("tokens of a second text have type 1", "[token_batch]") {
  const std::vector<std::vector<std::int32_t>> sequences{{5, 6, 7, 8}, {}, {9, 3}, {4}};
  const TokenBatch plain = TokenBatch::from_sequences(sequences);
  REQUIRE(plain.ids == std::vector<std::int32_t>{5, 6, 7, 8, 9, 3, 4});
  REQUIRE(plain.types.empty());
  const std::vector<Index> begins{3, 0, 1, 0};
  const TokenBatch pairs = TokenBatch::from_sequences(sequences, begins);
  REQUIRE(pairs.ids == plain.ids);
  REQUIRE(pairs.types == std::vector<std::int32_t>{0, 0, 0, 1, 0, 1, 0});
  REQUIRE_NOTHROW(pairs.require_valid(10, 4, /*token_types=*/2));
  check_error([&] { pairs.require_valid(10, 4, 1); }, ErrorCode::out_of_range, "token types");
  check_error([&] { static_cast<void>(TokenBatch::from_sequences(sequences, std::span(begins).first(3))); },
              ErrorCode::shape_mismatch, "token types");
}
