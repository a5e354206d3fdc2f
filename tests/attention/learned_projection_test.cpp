#include <linformer/attention/learned_projection.hpp>

#include "support/projection_support.hpp"

TEMPLATE_TEST_CASE("a learned projection is its matrix, cut to the tokens", "", float, double) {
  for (const Index k : {1, 5, 40}) {  // 600 tokens take several tiles
    const LearnedProjection<TestType> projection{random_matrix<TestType>(k, 600, 9)};
    for (const Index features : {1, 6}) {
      check_accumulate<TestType>(projection, features,
                                 [&](Index i, Index t, Index) { return static_cast<double>(projection.weight(i, t)); });
    }
  }
}
