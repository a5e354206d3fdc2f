#include <linformer/attention/frozen_projection.hpp>

#include "support/attention_support.hpp"

TEST_CASE("a frozen projection is the learned one, in place or gathered", "[frozen]") {
  const LearnedProjection<float> learned{random_matrix<float>(9, 700, 1)};
  const Matrix<float> features = random_matrix<float>(700, 5, 2);
  std::vector<Index> list;
  for (Index t = 0; t < 400; ++t) list.push_back(t + t / 3);
  for (const Precision precision : {Precision::full, Precision::bf16}) {
    const FrozenProjection<float> frozen{FrozenOperand<float>(learned.weight.transpose(), precision)};
    CHECK(frozen.rows() == 9);
    CHECK(frozen.columns() == 700);
    for (const Isa isa : supported_isas()) {
      for (const Positions& tokens :
           {Positions{0, 700, nullptr}, Positions{64, 511, nullptr}, Positions{33, 600, nullptr},
            Positions{0, 400, list.data()}, Positions{5, 0, nullptr}}) {
        for (const bool with_ones : {false, true}) {
          CAPTURE(precision, name_of(isa), tokens.first, tokens.count, with_ones);
          Workspace workspace;
          const Compute compute{workspace, isa, precision};
          Matrix<float> a = Matrix<float>::Zero(9, 5), b = a;
          Vector<float> ones_a = Vector<float>::Zero(9), ones_b = ones_a;
          learned.accumulate(tokens, features.topRows(tokens.count), a, with_ones ? &ones_a : nullptr, compute);
          frozen.accumulate(tokens, features.topRows(tokens.count), b, with_ones ? &ones_b : nullptr, compute);
          // The same terms in the same blocks; γ of their sums where Eigen looks at strides.
          const float bound = 1400 * std::numeric_limits<float>::epsilon() / 2 * 700 * 0.25F;
          CHECK((a - b).cwiseAbs().maxCoeff() <= bound);
          if (precision == Precision::full) CHECK(ones_a == ones_b);
        }
      }
    }
  }
}
