#pragma once

#include <linformer/attention/projection_concept.hpp>
#include <linformer/kernels/product.hpp>

#include <algorithm>

namespace linformer::inline LINFORMER_ABI {

/// out += E·features and ones += E·1 of some tokens. @param columns of E, tokens × k, as an operand
template <Scalar T>
void accumulate_columns(const Operand<T>& columns, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                        const Compute& compute) {
  const Workspace::Scope scope(compute.workspace);
  multiply_add<T>(compute.isa, columns, operand<T>(features, compute), out);
  if (ones == nullptr) return;
  auto all_one = compute.workspace.matrix<T>(features.rows(), 1);
  all_one.setOnes();
  multiply_add<T>(compute.isa, operand<T>(all_one, compute), columns,
                  Eigen::Map<Matrix<T>>(ones->data(), 1, ones->size()));
}

/// out += E[:, tokens]·features and ones += E[:, tokens]·1 for a dense E, whose columns are written a tile at a time.
/// @param rows k
/// @param write_columns called as write_columns(positions, tile): writes the columns of E at these positions as the
///   rows of tile (positions.count × k)
template <Scalar T, class WriteColumns>
void accumulate_dense(Index rows, const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out,
                      Vector<T>* ones, const Compute& compute, const WriteColumns& write_columns) {
  constexpr Index tile_rows = 256;  // a tile stays in the second-level cache
  const Workspace::Scope scope(compute.workspace);
  auto tile = compute.workspace.matrix<T>(std::min(tile_rows, tokens.count), rows);
  for (Index begin = 0; begin < tokens.count; begin += tile_rows) {
    const Positions part = tokens.slice(begin, std::min(tile_rows, tokens.count - begin));
    MatrixRef<T> columns = tile.topRows(part.count);
    write_columns(part, columns);
    const Workspace::Scope scope_of_tile(compute.workspace);
    accumulate_columns<T>(operand<T>(columns, compute), features.middleRows(begin, part.count), out, ones, compute);
  }
}

}  // namespace linformer::inline LINFORMER_ABI
