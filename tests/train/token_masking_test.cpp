#include <linformer/train/token_masking.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

using namespace linformer;

namespace {

/// Ids 0, 1, 5 and 9 of twenty are special, and so is the mask, 7.
const TokenMasking masking({.vocabulary = 20, .mask_id = 7, .special_ids = {9, 0, 5, 1, 5}});

bool special(std::int32_t id) { return id == 0 || id == 1 || id == 5 || id == 7 || id == 9; }

/// Ids of a ragged batch, all of the vocabulary, in an order that repeats nowhere soon.
std::vector<std::int32_t> some_ids(Index count) {
  std::vector<std::int32_t> ids;
  for (Index i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>((i * 7 + i / 20) % 20));
  return ids;
}

/// Whether a count of a binomial lies within five standard deviations. The draws are fixed: it does always or never.
bool plausible(Index count, Index draws, double p) {
  const auto n = static_cast<double>(draws);
  return std::abs(static_cast<double>(count) - n * p) <= 5 * std::sqrt(n * p * (1 - p));
}

}  // namespace

TEST_CASE("what is selected is told, and nothing else changes", "[token_masking]") {
  const auto layout = BatchLayout::from_lengths(std::vector<Index>{300, 0, 1, 699});
  const auto ids = some_ids(1000);
  const MaskedTokens masked = masking.apply(ids, layout, std::vector<Index>{5, 6, 7, 8}, 1, 2);
  REQUIRE(masked.ids.size() == 1000);
  REQUIRE(masked.rows.size() == masked.labels.size());
  CHECK(std::is_sorted(masked.rows.begin(), masked.rows.end()));
  CHECK_FALSE(masked.rows.empty());
  std::size_t next = 0;
  for (std::size_t row = 0; row < 1000; ++row) {
    const bool selected = next < masked.rows.size() && masked.rows[next] == static_cast<Index>(row);
    if (selected) {
      CHECK(masked.labels[next] == ids[row]);
      CHECK_FALSE(special(ids[row]));
      CHECK((masked.ids[row] == 7 || !special(masked.ids[row])));
      ++next;
    } else {
      CHECK(masked.ids[row] == ids[row]);
    }
  }
  CHECK(next == masked.rows.size());
}

TEST_CASE("shares are those asked for, and random tokens uniform", "[token_masking]") {
  const Index sequences = 40, length = 2000;
  const auto layout = BatchLayout::from_lengths(std::vector<Index>(sequences, length));
  std::vector<Index> samples(sequences);
  std::iota(samples.begin(), samples.end(), Index{0});
  for (const auto& [rate, mask_share, random_share] :
       {std::array{0.15, 0.8, 0.1}, std::array{0.5, 0.25, 0.75}, std::array{0.9, 0.0, 0.5}}) {
    CAPTURE(rate, mask_share, random_share);
    const TokenMasking each({.vocabulary = 20,
                             .mask_id = 7,
                             .special_ids = {0, 1, 5, 9},
                             .rate = rate,
                             .mask_share = mask_share,
                             .random_share = random_share});
    // One ordinary token throughout: 3 where it stays, 7 where masked, one of the fifteen where random.
    const std::vector<std::int32_t> ids(static_cast<std::size_t>(sequences * length), 3);
    const MaskedTokens masked = each.apply(ids, layout, samples, 11, 0);
    const auto selected = static_cast<Index>(masked.rows.size());
    CHECK(plausible(selected, sequences * length, rate));
    std::vector<Index> counts(20);
    for (const Index row : masked.rows) ++counts[static_cast<std::size_t>(masked.ids[static_cast<std::size_t>(row)])];
    CHECK(plausible(counts[7], selected, mask_share));
    for (std::int32_t id = 0; id < 20; ++id) {
      CAPTURE(id);
      const Index count = counts[static_cast<std::size_t>(id)];
      const double random = random_share / 15;
      if (special(id)) {
        CHECK((id == 7 || count == 0));
      } else {
        CHECK(plausible(count, selected, id == 3 ? 1 - mask_share - random_share + random : random));
      }
    }
    // Each position is selected as often as another: six standard deviations for the largest of 2000.
    std::vector<Index> at(static_cast<std::size_t>(length));
    for (const Index row : masked.rows) ++at[static_cast<std::size_t>(row % length)];
    const double n = static_cast<double>(sequences), deviation = std::sqrt(n * rate * (1 - rate));
    for (const Index count : at) CHECK(std::abs(static_cast<double>(count) - n * rate) <= 6 * deviation);
  }
}

TEST_CASE("rates of zero and one select nothing and everything but special tokens", "[token_masking]") {
  const auto layout = BatchLayout::single(400);
  const auto ids = some_ids(400);
  const std::vector<Index> samples{3};
  const auto with = [&](double rate, double mask_share, double random_share) {
    return TokenMasking({.vocabulary = 20,
                         .mask_id = 7,
                         .special_ids = {0, 1, 5, 9},
                         .rate = rate,
                         .mask_share = mask_share,
                         .random_share = random_share})
        .apply(ids, layout, samples, 1, 1);
  };
  CHECK(with(0, 0.8, 0.1).rows.empty());
  CHECK(with(0, 0.8, 0.1).ids == ids);
  const MaskedTokens all = with(1, 1, 0);
  for (std::size_t row = 0; row < ids.size(); ++row) CHECK(all.ids[row] == (special(ids[row]) ? ids[row] : 7));
  CHECK(static_cast<Index>(all.rows.size()) ==
        std::count_if(ids.begin(), ids.end(), [](std::int32_t id) { return !special(id); }));
  CHECK(with(1, 0, 0).ids == ids);
  CHECK(with(1, 0, 0).rows == all.rows);
}

TEST_CASE("how samples are grouped, and where holes are, changes no draw", "[token_masking]") {
  const auto ids = some_ids(600);
  const std::vector<Index> both{41, 17}, second{17};
  const MaskedTokens together = masking.apply(ids, BatchLayout::from_lengths(std::vector<Index>{200, 400}), both, 1, 2);
  const MaskedTokens alone = masking.apply(std::span(ids).subspan(200), BatchLayout::single(400), second, 1, 2);
  CHECK(std::vector<std::int32_t>(together.ids.begin() + 200, together.ids.end()) == alone.ids);
  // The same tokens with every third absent: those present at the same positions fare the same.
  TokenMask mask = TokenMask::Constant(1, 400, true);
  std::vector<std::int32_t> present, expected;
  for (Index t = 0; t < 400; ++t) {
    mask(0, t) = t % 3 != 1;
    if (!mask(0, t)) continue;
    present.push_back(ids[static_cast<std::size_t>(200 + t)]);
    expected.push_back(alone.ids[static_cast<std::size_t>(t)]);
  }
  CHECK(masking.apply(present, BatchLayout::from_mask(mask), second, 1, 2).ids == expected);
}

TEST_CASE("seed, epoch and sample each make other draws", "[token_masking]") {
  const auto ids = some_ids(1000);
  const auto layout = BatchLayout::single(1000);
  const auto rows = [&](Index sample, std::uint64_t seed, std::uint64_t epoch) {
    return masking.apply(ids, layout, std::vector<Index>{sample}, seed, epoch).rows;
  };
  const auto chosen = rows(1, 2, 3);
  CHECK(rows(1, 2, 3) == chosen);
  CHECK(rows(2, 2, 3) != chosen);
  CHECK(rows(1, 3, 3) != chosen);
  CHECK(rows(1, 2, 4) != chosen);
  CHECK(rows(3, 2, 1) != chosen);
}

TEST_CASE("tokens outside the vocabulary and batches that do not fit are errors", "[token_masking]") {
  const auto layout = BatchLayout::from_lengths(std::vector<Index>{2, 2});
  const std::vector<Index> samples{0, 1};
  for (const std::int32_t bad : {-1, 20}) {
    try {
      static_cast<void>(masking.apply(std::vector<std::int32_t>{3, 3, bad, 3}, layout, samples, 1, 1));
      FAIL_CHECK("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::out_of_range);
      CHECK(error.tensor() == "token of row 2");
      CHECK(error.expected() == "0 to 19");
      CHECK(error.actual() == std::to_string(bad));
    }
  }
  const auto code = [&](std::size_t ids, std::size_t count) {
    try {
      static_cast<void>(masking.apply(std::vector<std::int32_t>(ids), layout, std::vector<Index>(count), 1, 1));
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::aliasing;
  };
  CHECK(code(3, 2) == ErrorCode::shape_mismatch);
  CHECK(code(4, 1) == ErrorCode::shape_mismatch);
  CHECK(code(4, 2) == ErrorCode::aliasing);
}

TEST_CASE("impossible configurations of masking are errors", "[token_masking]") {
  const auto code = [](TokenMaskingConfig config) {
    try {
      const TokenMasking made(std::move(config));
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::aliasing;
  };
  CHECK(code({.vocabulary = 4, .mask_id = 0, .special_ids = {}}) == ErrorCode::aliasing);
  CHECK(code({.vocabulary = 4, .mask_id = 4, .special_ids = {}}) == ErrorCode::out_of_range);
  CHECK(code({.vocabulary = 4, .mask_id = 0, .special_ids = {-1}}) == ErrorCode::out_of_range);
  CHECK(code({.vocabulary = 3, .mask_id = 0, .special_ids = {1, 2}}) == ErrorCode::invalid_configuration);
  CHECK(code({.vocabulary = 4, .mask_id = 0, .special_ids = {}, .rate = 1.5}) == ErrorCode::invalid_configuration);
  CHECK(code({.vocabulary = 4, .mask_id = 0, .special_ids = {}, .mask_share = -1}) == ErrorCode::invalid_configuration);
  CHECK(code({.vocabulary = 4, .mask_id = 0, .special_ids = {}, .mask_share = 0.75, .random_share = 0.5}) ==
        ErrorCode::invalid_configuration);
}

// From a separate implementation in Python integers. A change here changes every training run: never regenerate them to
// make a failure go away.
TEST_CASE("golden masks", "[token_masking]") {
  const TokenMasking half({.vocabulary = 1000,
                           .mask_id = 4,
                           .special_ids = {0, 1, 2, 3},
                           .rate = 0.5,
                           .mask_share = 0.5,
                           .random_share = 0.25});
  std::vector<std::int32_t> ids(40);
  std::iota(ids.begin(), ids.end(), 10);
  const MaskedTokens masked = half.apply(ids, BatchLayout::single(40), std::vector<Index>{5}, 42, 3);
  CHECK(masked.rows ==
        std::vector<Index>{1, 5, 7, 8, 9, 14, 15, 17, 20, 24, 25, 26, 28, 29, 30, 31, 32, 33, 34, 36, 37});
  std::vector<std::int32_t> now;
  for (const Index row : masked.rows) now.push_back(masked.ids[static_cast<std::size_t>(row)]);
  CHECK(now ==
        std::vector<std::int32_t>{4, 15, 4, 581, 4, 4, 556, 27, 4, 818, 4, 4, 4, 321, 522, 378, 42, 4, 4, 4, 452});
}
