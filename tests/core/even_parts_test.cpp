#include <linformer/core/even_parts.hpp>

#include "support/catch.hpp"

using namespace linformer;

TEST_CASE("parts take every row once, are even in number, about the same size and the longer first") {
  for (const Index allowed : {32, 48, 96, 256}) {
    for (Index rows = 0; rows < 1200; ++rows) {
      const detail::EvenParts parts(rows, allowed);
      Index next = 0, most = 0, least = rows;
      bool follow = true, whole_vectors = true, longer_first = true;
      for (Index part = 0; part < parts.count(); ++part) {
        follow = follow && parts.first(part) == next;
        whole_vectors = whole_vectors && parts.first(part) % 16 == 0;
        next += parts.rows(part);
        longer_first = longer_first && (part == 0 || parts.rows(part) <= parts.rows(part - 1));
        most = std::max(most, parts.rows(part));
        least = std::min(least, parts.rows(part));
      }
      CAPTURE(allowed, rows);
      CHECK(follow);
      CHECK(whole_vectors);
      CHECK(longer_first);
      CHECK(next == rows);
      CHECK(most <= allowed);
      CHECK(most - least < 32);
      CHECK((parts.count() < 2 || parts.count() % 2 == 0));
      CHECK((rows == 0 || least > 0));
    }
  }
}
