#include "troupe/runtime/spelling.hpp"

#include <doctest/doctest.h>

#include <vector>

using troupe::runtime::did_you_mean;
using troupe::runtime::nearest_word;

TEST_CASE("the word that was meant is the one a letter or two away") {
  const std::vector<std::string> known = {"--chips", "--checked", "vector_add", "heat", "run", "x"};
  CHECK(nearest_word("--chps", known) == "--chips");
  CHECK(nearest_word("--chisp", known) == "--chips");
  CHECK(nearest_word("vector-ad", known) == "vector_add");
  CHECK(nearest_word("Heat", known) == "heat");
  CHECK(nearest_word("rnu", known) == "run");
  CHECK(did_you_mean("haet", known) == "did you mean heat? ");
}

TEST_CASE("a word that is far from all is none of them, nor is one that is right as it stands") {
  const std::vector<std::string> known = {"--chips", "run", "x"};
  CHECK(nearest_word("--dance", known).empty());
  CHECK(nearest_word("fly", known).empty());
  CHECK(nearest_word("run", known).empty());
  CHECK(nearest_word("", known).empty());
  CHECK(nearest_word("y", known).empty());
  CHECK(nearest_word(std::string(100000, 'r'), known).empty());
  CHECK(did_you_mean("fly", known).empty());
  CHECK(nearest_word("run", {}).empty());
}
