#include <linformer/core/row_selection.hpp>

#include "support/catch.hpp"

#include <vector>

using namespace linformer;

namespace {

std::vector<Index> listed(std::span<const Index> values) { return {values.begin(), values.end()}; }

/// Sequences at positions 0 1 2 3 4, none, and 1 2 4.
BatchLayout layout_with_holes() {
  TokenMask mask = TokenMask::Constant(3, 5, true);
  mask.row(1).setConstant(false);
  mask(2, 0) = mask(2, 3) = false;
  return BatchLayout::from_mask(mask);
}

}  // namespace

TEST_CASE("rows that are read keep their sequence and their position", "[row_selection]") {
  const BatchLayout batch = layout_with_holes();
  const std::vector<Index> rows{1, 4, 5, 7};
  const RowSelection read(batch, rows);
  REQUIRE(read.size() == 4);
  REQUIRE(listed(read.rows()) == rows);
  const BatchLayout& layout = read.layout();
  REQUIRE(layout.sequences() == 3);
  REQUIRE(layout.rows() == 4);
  REQUIRE(std::vector{layout.length(0), layout.length(1), layout.length(2)} == std::vector<Index>{2, 0, 2});
  REQUIRE(std::vector{layout.positions(0)[0], layout.positions(0)[1]} == std::vector<Index>{1, 4});
  REQUIRE(std::vector{layout.positions(2)[0], layout.positions(2)[1]} == std::vector<Index>{1, 4});
  REQUIRE(read.fits(batch));
  REQUIRE_FALSE(read.fits(BatchLayout::single(8)));
  REQUIRE_FALSE(read.fits(BatchLayout::from_lengths(std::vector<Index>{5, 0, 4})));
}

TEST_CASE("the first token of each sequence that has one", "[row_selection]") {
  RowSelection read = RowSelection::first_tokens(layout_with_holes());
  REQUIRE(listed(read.rows()) == std::vector<Index>{0, 5});
  REQUIRE(read.layout().length(1) == 0);
  REQUIRE(read.layout().positions(2)[0] == 1);
  read.assign_first_tokens(BatchLayout::from_lengths(std::vector<Index>{3, 2}));
  REQUIRE(listed(read.rows()) == std::vector<Index>{0, 3});
  REQUIRE(RowSelection().size() == 0);
}

TEST_CASE("rows out of order or beyond the batch are an error", "[row_selection]") {
  const BatchLayout batch = layout_with_holes();
  for (const std::vector<Index>& rows : {std::vector<Index>{-1}, {8}, {2, 2}, {3, 1}}) {
    try {
      static_cast<void>(RowSelection(batch, rows));
      FAIL_CHECK("no error");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::out_of_range);
      CHECK(error.tensor() == "rows");
    }
  }
}

TEST_CASE("a row tells its sequence", "[row_selection]") {
  const BatchLayout batch = layout_with_holes();
  std::vector<Index> sequences;
  for (Index row = 0; row < batch.rows(); ++row) sequences.push_back(batch.sequence_of(row));
  REQUIRE(sequences == std::vector<Index>{0, 0, 0, 0, 0, 2, 2, 2});
}

TEST_CASE("rows are gathered in their order", "[row_selection]") {
  Matrix<float> from(4, 2), to(2, 2);
  from << 1, 2, 3, 4, 5, 6, 7, 8;
  gather_rows<float>(from, std::vector<Index>{1, 3}, to);
  REQUIRE(to == (Matrix<float>(2, 2) << 3, 4, 7, 8).finished());
}
