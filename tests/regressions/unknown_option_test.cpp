// A program with `System{argc, argv}` that was called with `--chps 4` ran with one chip: what troupe did not
// know was taken for the program's own. Promised now: an option that neither troupe nor the program knows is
// refused with the list of those that there are.
#include <doctest/doctest.h>

#include <array>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;

namespace {

std::optional<Error> start(std::vector<std::string> words, std::initializer_list<std::string_view> own = {}) {
  words.insert(words.begin(), "program");
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  return error_of([&] { System system(static_cast<int>(arguments.size()), arguments.data(), own); });
}

}  // namespace

TEST_CASE("an option that nobody knows is refused") {
  const auto error = start({"--chps", "4"});
  REQUIRE(error);
  CHECK(*error == Errc::bad_argument);
  CHECK(error->message() == "--chps: troupe has no such setting");
  CHECK(error->hint().starts_with("did you mean --chips? there are: platform, chips"));
  CHECK(start({"--szie", "4"}, {"size"})->hint().starts_with("did you mean --size?"));
  CHECK_FALSE(start({"--dance"})->hint().starts_with("did you mean"));
  CHECK(start({"--chps=4"}));
  CHECK(start({"--threads", "4097"}));
  CHECK(start({"--threads", "99999999999999999999"}));
  CHECK(start({"--max-runs", "0"}));
}

TEST_CASE("an option of troupe's with one hyphen is refused, not taken for the program's own") {
  const auto error = start({"-chips", "4"});
  REQUIRE(error);
  CHECK(*error == Errc::bad_argument);
  CHECK(error->message() == "-chips: options of troupe begin with two hyphens");
  CHECK(error->hint().starts_with("did you mean --chips?"));
  CHECK(start({"-chips=4"})->hint().starts_with("did you mean --chips?"));
  CHECK(start({"-config", "file"}));
  CHECK(start({"-device.checked", "1"}));
  CHECK_FALSE(start({"-chips", "4"}, {"chips"}));
  CHECK_FALSE(start({"--platform", "-chips", "-", "-c", "--", "-chips", "4"}));
}

TEST_CASE("options of the program's own are left to it, and so is all behind --") {
  CHECK_FALSE(start({"--size", "4", "input", "-v", "--chips=1"}, {"size"}));
  CHECK_FALSE(start({"--threads", "1", "--", "--chps", "4"}));
}
