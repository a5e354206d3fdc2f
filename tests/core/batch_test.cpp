#include <linformer/core/batch.hpp>

#include "support/catch.hpp"

#include <array>
#include <concepts>
#include <initializer_list>
#include <limits>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

using namespace linformer;

namespace {

/// One sequence a string, '1' for a present token.
TokenMask mask_of(std::initializer_list<std::string_view> sequences) {
  TokenMask mask(static_cast<Index>(sequences.size()), static_cast<Index>(sequences.begin()->size()));
  Index b = 0;
  for (const std::string_view sequence : sequences) {
    for (std::size_t t = 0; t < sequence.size(); ++t) mask(b, static_cast<Index>(t)) = sequence[t] == '1';
    ++b;
  }
  return mask;
}

std::vector<Index> listed(const Positions& positions) {
  std::vector<Index> list;
  for (Index i = 0; i < positions.count; ++i) list.push_back(positions[i]);
  return list;
}

using Lengths = std::vector<Index>;

/// (B·n) × D where element (b, t, c) tells where it is; what the mask leaves out is NaN.
template <Scalar T>
Matrix<T> padded_with_nan(const TokenMask& mask, Index width) {
  Matrix<T> padded(mask.size(), width);
  for (Index b = 0; b < mask.rows(); ++b) {
    for (Index t = 0; t < mask.cols(); ++t) {
      for (Index c = 0; c < width; ++c) {
        padded(b * mask.cols() + t, c) =
            mask(b, t) ? static_cast<T>(100 * b + 10 * t + c + 1) : std::numeric_limits<T>::quiet_NaN();
      }
    }
  }
  return padded;
}

/// Whether the batch holds the present tokens of `padded_with_nan(mask, …)` in order, and nothing else.
template <Scalar T>
bool holds(const Batch<T>& batch, const TokenMask& mask, Index width) {
  Index row = 0;
  for (Index b = 0; b < mask.rows(); ++b) {
    for (Index t = 0; t < mask.cols(); ++t) {
      if (!mask(b, t)) continue;
      if (row >= batch.rows.rows() || batch.rows.cols() != width) return false;
      for (Index c = 0; c < width; ++c) {
        if (batch.rows(row, c) != static_cast<T>(100 * b + 10 * t + c + 1)) return false;
      }
      ++row;
    }
  }
  return row == batch.rows.rows() && batch.layout == BatchLayout::from_mask(mask);
}

template <Scalar T>
Matrix<T> zero_where_nan(const Matrix<T>& padded) {
  return padded.array().isNaN().select(Matrix<T>::Zero(padded.rows(), padded.cols()), padded);
}

template <class Call>
ErrorCode code_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  throw std::logic_error("nothing was thrown");
}

constexpr Index largest = std::numeric_limits<Index>::max();

}  // namespace

TEST_CASE("a layout of lengths", "[batch]") {
  const Lengths lengths{3, 0, 5};
  const auto layout = BatchLayout::from_lengths(lengths);
  CHECK(layout.sequences() == 3);
  CHECK(layout.rows() == 8);
  CHECK(layout.offset(0) == 0);
  CHECK(layout.offset(1) == 3);
  CHECK(layout.offset(2) == 3);
  CHECK(layout.offset(3) == 8);
  CHECK(layout.length(0) == 3);
  CHECK(layout.length(1) == 0);
  CHECK(layout.length(2) == 5);
  CHECK(listed(layout.positions(2)) == Lengths{0, 1, 2, 3, 4});
  CHECK(layout.positions(2).list == nullptr);
  CHECK(layout.positions(1).extent() == 0);
  CHECK(BatchLayout::single(4) == BatchLayout::from_lengths(Lengths{4}));
}

TEST_CASE("a layout of no sequence", "[batch]") {
  const BatchLayout layout;
  CHECK(layout.sequences() == 0);
  CHECK(layout.rows() == 0);
  CHECK(layout == BatchLayout::from_lengths({}));
  CHECK(layout == BatchLayout::from_mask(MaskView()));
}

TEST_CASE("lengths must not be negative", "[batch]") {
  CHECK(code_of([] { BatchLayout::from_lengths(Lengths{3, -1}); }) == ErrorCode::shape_mismatch);
}

TEST_CASE("lengths whose sum cannot be addressed are an error", "[batch]") {
  CHECK(code_of([] { BatchLayout::from_lengths(Lengths{largest, largest, 2}); }) == ErrorCode::size_overflow);
}

TEST_CASE("a layout of a mask without holes keeps no positions", "[batch]") {
  const auto layout = BatchLayout::from_mask(mask_of({"1110", "0000", "1111", "1000"}));
  CHECK(layout == BatchLayout::from_lengths(Lengths{3, 0, 4, 1}));
  for (Index b = 0; b < 4; ++b) CHECK(layout.positions(b).list == nullptr);
  CHECK(layout.positions(0).extent() == 3);
}

TEST_CASE("a layout of a mask with holes keeps the position of each row", "[batch]") {
  const auto layout = BatchLayout::from_mask(mask_of({"1100", "0000", "0110", "1011"}));
  CHECK(layout.sequences() == 4);
  CHECK(layout.rows() == 7);
  CHECK(listed(layout.positions(0)) == Lengths{0, 1});
  CHECK(listed(layout.positions(1)).empty());
  CHECK(listed(layout.positions(2)) == Lengths{1, 2});
  CHECK(listed(layout.positions(3)) == Lengths{0, 2, 3});
  CHECK(layout.positions(0).extent() == 2);
  CHECK(layout.positions(1).extent() == 0);
  CHECK(layout.positions(2).extent() == 3);
  CHECK(layout.positions(3).extent() == 4);
  CHECK(layout.positions(3).list != nullptr);
  CHECK_FALSE(layout == BatchLayout::from_lengths(Lengths{2, 0, 2, 3}));
}

TEST_CASE("masks of no token and of no sequence", "[batch]") {
  CHECK(BatchLayout::from_mask(TokenMask(3, 0)) == BatchLayout::from_lengths(Lengths{0, 0, 0}));
  CHECK(BatchLayout::from_mask(TokenMask(0, 3)).sequences() == 0);
}

TEST_CASE("a mask view shows a token mask or a span of one sequence, or nothing", "[batch]") {
  CHECK_FALSE(bool(MaskView()));
  const TokenMask mask = mask_of({"101", "011"});
  const MaskView view = mask;
  CHECK(bool(view));
  CHECK(view.sequences() == 2);
  CHECK(view.length() == 3);
  for (Index b = 0; b < 2; ++b) {
    for (Index t = 0; t < 3; ++t) CHECK(view(b, t) == mask(b, t));
  }
  const std::array<bool, 4> one{true, false, true, true};
  const MaskView sequence = std::span<const bool>(one);
  CHECK(sequence.sequences() == 1);
  CHECK(listed(BatchLayout::from_mask(sequence).positions(0)) == Lengths{0, 2, 3});
  const TokenMask no_token(1, 0);
  CHECK(bool(MaskView(no_token)));
  CHECK_FALSE(std::convertible_to<MaskView, int>);
}

TEST_CASE("positions that follow each other", "[batch]") {
  const Positions positions{10, 5};
  CHECK(listed(positions) == Lengths{10, 11, 12, 13, 14});
  CHECK(positions.extent() == 15);
  CHECK(listed(positions.slice(1, 3)) == Lengths{11, 12, 13});
  CHECK(listed(positions.slice(1, 3).slice(2, 1)) == Lengths{13});
  CHECK(positions.slice(5, 0).extent() == 0);
  CHECK(Positions{7, 0}.extent() == 0);
  CHECK(positions.whole_extent() == 15);
  CHECK(positions.slice(1, 3).slice(1, 1).whole_extent() == 15);
  CHECK(Positions{2, 3, nullptr, 20}.slice(1, 1).whole_extent() == 20);
}

TEST_CASE("parts of sequences know how long the whole is", "[batch]") {
  const BatchLayout layout = BatchLayout::from_mask(mask_of({"11110", "10010", "00000"}));
  CHECK(layout.positions(0).whole == 0);
  CHECK(layout.positions(1).whole_extent() == 4);
  for (const BatchLayout& part : {layout.part(0, 2), layout.part(2, 5), layout.part(0, 4).part(1, 2)}) {
    CHECK(part.positions(0).whole == 4);
    CHECK(part.positions(1).whole == 4);
    CHECK(part.positions(2).whole == 0);
  }
  BatchLayout rows;
  rows.assign_rows(layout, std::vector<Index>{0, 4});
  CHECK(rows.positions(0).whole == 4);
  CHECK(rows.positions(1).whole == 4);
}

TEST_CASE("positions with holes", "[batch]") {
  const Lengths list{2, 3, 7, 20};
  const Positions positions{0, 4, list.data()};
  CHECK(listed(positions) == list);
  CHECK(positions.extent() == 21);
  CHECK(listed(positions.slice(1, 2)) == Lengths{3, 7});
  CHECK(positions.slice(1, 2).extent() == 8);
  CHECK(listed(positions.slice(1, 3).slice(1, 2)) == Lengths{7, 20});
  CHECK(positions.slice(4, 0).extent() == 0);
}

TEST_CASE("rows below a limit are counted as one would by hand", "[batch]") {
  const Lengths list{2, 3, 7, 20};
  for (const Positions& positions : {Positions{0, 4, list.data()}, Positions{3, 6}, Positions{0, 0}}) {
    for (Index begin = 0; begin <= positions.count; ++begin) {
      for (Index limit = 0; limit < 25; ++limit) {
        Index expected = 0;
        for (Index i = begin; i < positions.count; ++i) expected += positions[i] < limit ? 1 : 0;
        CAPTURE(positions.first, positions.count, begin, limit);
        CHECK(positions.rows_below(begin, limit) == expected);
      }
    }
  }
}

TEST_CASE("a batch of matrices of their own lengths", "[batch]") {
  std::vector<Matrix<double>> sequences{Matrix<double>::Constant(2, 3, 1), Matrix<double>(0, 3),
                                        Matrix<double>::Constant(4, 3, 2)};
  const Batch<double> batch = make_batch<double>(sequences);
  CHECK(batch.layout == BatchLayout::from_lengths(Lengths{2, 0, 4}));
  CHECK(batch.rows.rows() == 6);
  CHECK(batch.rows.cols() == 3);
  for (std::size_t b = 0; b < 3; ++b) CHECK(batch.sequence(static_cast<Index>(b)) == sequences[b]);
  CHECK(make_batch<double>({}).layout.sequences() == 0);
}

TEST_CASE("a batch of matrices of two widths is an error that names the sequence", "[batch]") {
  const std::vector<Matrix<float>> sequences{Matrix<float>(2, 3), Matrix<float>(2, 4)};
  try {
    static_cast<void>(make_batch<float>(sequences));
    FAIL_CHECK("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::shape_mismatch);
    CHECK(error.tensor() == "sequence 1");
    CHECK(error.expected() == "2 x 3");
    CHECK(error.actual() == "2 x 4");
  }
}

TEST_CASE("sequences of a batch can be written in place", "[batch]") {
  Batch<float> batch{BatchLayout::from_lengths(Lengths{1, 2}), Matrix<float>::Zero(3, 2)};
  batch.sequence(1).setConstant(5);
  CHECK(batch.rows.row(0).sum() == 0);
  CHECK(batch.rows.bottomRows(2).sum() == 20);
}

TEMPLATE_TEST_CASE("padded batches of either order become ragged without their padding", "[batch]", float, double) {
  for (const TokenMask& mask : {mask_of({"1110", "1000", "1111"}), mask_of({"0110", "0000", "1001"}),
                                mask_of({"0000", "0000"}), mask_of({"1111"}), TokenMask(2, 0)}) {
    const Matrix<TestType> padded = padded_with_nan<TestType>(mask, 3);
    CHECK(holds(to_ragged(padded, mask), mask, 3));
    const Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic> columns = padded;
    CHECK(holds(to_ragged(columns, mask), mask, 3));
    const Eigen::Matrix<TestType, Eigen::Dynamic, Eigen::Dynamic> transposed = padded.transpose();
    CHECK(holds(to_ragged(transposed.transpose(), mask), mask, 3));
    CHECK(holds(to_ragged(padded * TestType{1}, mask), mask, 3));
    const std::span<const TestType> memory(padded.data(), static_cast<std::size_t>(padded.size()));
    CHECK(holds(to_ragged<TestType>(memory, 3, mask), mask, 3));
  }
}

TEST_CASE("padded batches with lengths become ragged without their padding", "[batch]") {
  const TokenMask mask = mask_of({"1110", "0000", "1111"});
  const Matrix<float> padded = padded_with_nan<float>(mask, 2);
  CHECK(holds(to_ragged(padded, Lengths{3, 0, 4}), mask, 2));
  const Eigen::MatrixXf columns = padded;
  CHECK(holds(to_ragged(columns, Lengths{3, 0, 4}), mask, 2));
  CHECK(to_ragged(Matrix<float>(0, 2), Lengths{}).layout.sequences() == 0);
}

TEST_CASE("a ragged batch becomes padded, absent tokens zero", "[batch]") {
  for (const TokenMask& mask : {mask_of({"1110", "1000", "1111"}), mask_of({"0110", "0000", "1001"})}) {
    const Matrix<double> padded = padded_with_nan<double>(mask, 3);
    const Batch<double> batch = to_ragged(padded, mask);
    CHECK(to_padded(batch, 4) == zero_where_nan(padded));
    const Matrix<double> longer = to_padded(batch, 6);
    REQUIRE(longer.rows() == mask.rows() * 6);
    for (Index b = 0; b < mask.rows(); ++b) {
      CHECK(longer.middleRows(b * 6, 4) == zero_where_nan(padded).middleRows(b * 4, 4));
      CHECK(longer.middleRows(b * 6 + 4, 2).isZero(0));
    }
  }
  CHECK(to_padded(Batch<float>{BatchLayout(), Matrix<float>(0, 5)}, 3).rows() == 0);
}

TEST_CASE("ragged batches survive padding and back", "[batch]") {
  const TokenMask mask = mask_of({"0110", "0000", "1001"});
  const Batch<float> batch = to_ragged(padded_with_nan<float>(mask, 3), mask);
  const Batch<float> back = to_ragged(to_padded(batch, 4), mask);
  CHECK(back.layout == batch.layout);
  CHECK(back.rows == batch.rows);
}

TEST_CASE("padded batches whose shape does not fit are an error", "[batch]") {
  const TokenMask mask = mask_of({"11", "11"});
  const Matrix<float> padded = Matrix<float>::Zero(4, 3);
  const std::vector<float> memory(12);
  CHECK(code_of([&] { static_cast<void>(to_ragged(padded.topRows(3), mask)); }) == ErrorCode::shape_mismatch);
  CHECK(code_of([&] { static_cast<void>(to_ragged(Matrix<float>::Zero(5, 3), mask)); }) == ErrorCode::shape_mismatch);
  CHECK(code_of([&] { static_cast<void>(to_ragged(padded, Lengths{3, 1})); }) == ErrorCode::shape_mismatch);
  CHECK(code_of([&] { static_cast<void>(to_ragged(padded, Lengths{1, 1, 1})); }) == ErrorCode::shape_mismatch);
  CHECK(code_of([&] { static_cast<void>(to_ragged(padded, Lengths{})); }) == ErrorCode::shape_mismatch);
  CHECK(code_of([&] { static_cast<void>(to_ragged(padded, Lengths{1, -1})); }) == ErrorCode::shape_mismatch);
  CHECK(code_of([&] { static_cast<void>(to_ragged<float>(memory, 4, mask)); }) == ErrorCode::shape_mismatch);
  CHECK(code_of([&] { static_cast<void>(to_ragged<float>(memory, largest / 4, mask)); }) == ErrorCode::size_overflow);
}

TEST_CASE("a batch does not become shorter by padding", "[batch]") {
  const Batch<float> prefix = to_ragged(Matrix<float>::Ones(6, 2), mask_of({"110", "111"}));
  CHECK(code_of([&] { static_cast<void>(to_padded(prefix, 2)); }) == ErrorCode::shape_mismatch);
  const Batch<float> holes = to_ragged(Matrix<float>::Ones(6, 2), mask_of({"001", "100"}));
  CHECK(code_of([&] { static_cast<void>(to_padded(holes, 2)); }) == ErrorCode::shape_mismatch);
  CHECK(code_of([&] { static_cast<void>(to_padded(holes, largest / 2)); }) == ErrorCode::size_overflow);
  CHECK(to_padded(holes, 3).row(2).sum() == 2);
}

TEST_CASE("parts of a batch are its tokens at some positions, which they keep", "[batch]") {
  for (const TokenMask& mask : {mask_of({"011010", "111111", "000000", "100001"}), mask_of({"111110", "110000"})}) {
    const BatchLayout layout = BatchLayout::from_mask(mask);
    Batch<double> batch{layout, Matrix<double>(layout.rows(), 1)};
    for (Index row = 0; row < layout.rows(); ++row) batch.rows(row, 0) = static_cast<double>(row);
    for (Index begin = 0; begin <= 6; ++begin) {
      for (Index end = begin; end <= 6; ++end) {
        const Batch<double> part = batch.part(begin, end);
        REQUIRE(part.layout.sequences() == layout.sequences());
        Index row = 0;
        for (Index b = 0; b < layout.sequences(); ++b) {
          Index count = 0;
          for (Index i = 0; i < layout.length(b); ++i) {
            const Index position = layout.positions(b)[i];
            if (position < begin || position >= end) continue;
            REQUIRE(count < part.layout.length(b));
            CHECK(part.layout.positions(b)[count++] == position);
            CHECK(part.rows(row++, 0) == static_cast<double>(layout.offset(b) + i));
          }
          CHECK(part.layout.length(b) == count);
        }
        CHECK(part.layout.part(begin, end) == part.layout);
      }
    }
  }
}
