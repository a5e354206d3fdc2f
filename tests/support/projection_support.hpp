#pragma once

#include "support/attention_support.hpp"

/// Asserts that `accumulate` adds E[:, tokens]·X to what is there, and E[:, tokens]·1, for tokens that follow each
/// other and tokens that do not. `e(i, t, c)` is the entry of E that feature c sees.
///
/// Bound: m products and their sum in any order, added to what was there; entries that are computed themselves in three
/// roundings (a fixed E) count as one product of three more.
template <Scalar T, class Projection, class Entry>
void check_accumulate(const Projection& projection, Index features, const Entry& e) {
  const Index k = projection.rows(), n = projection.columns();
  std::vector<Index> odd;
  for (Index t = 1; t < n; t += 2) odd.push_back(t);
  const Positions cases[] = {{0, n},     {0, n / 2}, {n / 3, n - n / 3},
                             {n - 1, 1}, {0, 0},     {0, static_cast<Index>(odd.size()), odd.data()}};
  Workspace workspace;
  for (const Positions& tokens : cases)
    for (const Isa isa : supported_isas()) {
      const Compute compute{workspace, isa};
      CAPTURE(k, n, tokens.first, tokens.count, static_cast<int>(isa));
      const Matrix<T> x = random_matrix<T>(tokens.count, features, 1);
      Matrix<T> out = random_matrix<T>(k, features, 2);
      const Matrix<T> start = random_matrix<T>(k, 1, 3);
      Vector<T> ones = start;
      oracle::Table expected = exact(out), error = expected.cwiseAbs(), sums = exact(start),
                    sums_error = sums.cwiseAbs();
      for (Index i = 0; i < k; ++i) {
        for (Index j = 0; j < tokens.count; ++j) {
          for (Index c = 0; c < features; ++c) {
            const double term = e(i, tokens[j], c) * static_cast<double>(x(j, c));
            expected(i, c) += term;
            error(i, c) += std::abs(term);
          }
          sums(i, 0) += e(i, tokens[j], 0);
          sums_error(i, 0) += std::abs(e(i, tokens[j], 0));
        }
      }
      const double operations = static_cast<double>(tokens.count + 4);
      projection.accumulate(tokens, x, out, Projection::commutes ? &ones : nullptr, compute);
      CHECK(worst_ratio(out, expected, operations * error) <= 1);
      if (!Projection::commutes) continue;
      CHECK(worst_ratio(Matrix<T>(ones), sums, operations * sums_error) <= 1);
      const Vector<T> kept = ones;
      projection.accumulate(tokens, x, out, nullptr, compute);
      CHECK(ones == kept);
    }
}
