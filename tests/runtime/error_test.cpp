#include "troupe/runtime/error.hpp"

#include <doctest/doctest.h>

#include "troupe/runtime/result.hpp"

namespace {

using troupe::Error;
using troupe::Result;

enum class Errc : std::int32_t { lost = 7, wrong = 8 };
std::string_view error_name(Errc code) { return code == Errc::lost ? "lost" : "wrong"; }

TEST_CASE("an error tells its path, message, code, hint and causes") {
  const Error root(Errc::lost, "peer 3 is gone");
  const Error error = Error(Errc::wrong, "task \"step\" failed", "run it again")
                          .caused_by(root)
                          .inside("chip3")
                          .inside("node1");
  CHECK(error == Errc::wrong);
  CHECK_FALSE(error == Errc::lost);
  CHECK(error.path() == "node1/chip3");
  CHECK(std::string(error.what()) == "node1/chip3: task \"step\" failed [wrong 8]");
  CHECK(render(error) ==
        "node1/chip3: task \"step\" failed [wrong 8]\n  hint: run it again\n  caused by: peer 3 is gone "
        "[lost 7]");
  CHECK(error.root() == Errc::lost);
}

TEST_CASE("what the cause says is not said twice") {
  const Error cause(Errc::lost, "peer 3 is gone", "ask it again");
  const auto error = Error(Errc::wrong, "task \"step\" failed: peer 3 is gone", "ask it again")
                         .caused_by(cause)
                         .inside("node1");
  CHECK(
      render(error) ==
      "node1: task \"step\" failed [wrong 8]\n  caused by: peer 3 is gone [lost 7]\n    hint: ask it again");
  CHECK(error.message() == "task \"step\" failed: peer 3 is gone");  // whoever sees only this knows it all
}

TEST_CASE("a cause is attached at the end of the chain") {
  const Error error =
      Error(Errc::wrong, "c").caused_by(Error(Errc::wrong, "b")).caused_by(Error(Errc::lost, "a"));
  REQUIRE(error.cause() != nullptr);
  CHECK(error.cause()->message() == "b");
  CHECK(error.root().message() == "a");
}

TEST_CASE("a result is a value or throws its error") {
  const Result<int> good = 4;
  CHECK(good.value() == 4);
  const Result<int> bad = Error(Errc::lost, "gone");
  CHECK_FALSE(bad);
  CHECK_THROWS_AS((void)bad.value(), Error);
  const Result<void> nothing;
  CHECK(nothing);
  CHECK_NOTHROW(nothing.value());
}

}  // namespace
