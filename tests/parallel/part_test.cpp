#include <linformer/parallel/part.hpp>

#include "support/catch.hpp"

TEST_CASE("parts of ranks are consecutive, even, and all there is", "[part]") {
  using namespace linformer;
  for (const Index count : {Index{0}, Index{1}, Index{5}, Index{12}, Index{1} << 40}) {
    for (Index ranks = 1; ranks <= 7; ++ranks) {
      CAPTURE(count, ranks);
      Index end = 0;
      for (Index rank = 0; rank < ranks; ++rank) {
        const Part part = part_of_rank(count, rank, ranks);
        CHECK(part.begin == end);
        CHECK((part.size() == count / ranks || part.size() == count / ranks + 1));
        end = part.end;
      }
      CHECK(end == count);
    }
  }
}
