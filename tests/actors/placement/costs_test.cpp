// What a node learns of tasks and copies, and the file it is kept in.
#include "placement/costs.hpp"

#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdio>
#include <string>

#include "troupe/actors/errc.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace std::chrono_literals;

TEST_CASE("costs: nothing is known of a callable until a task of it has ended") {
  Costs costs;
  const auto model = costs.model_of("step", 4096);
  CHECK_FALSE(costs.takes(model));
  costs.took(model, 10us);
  CHECK(costs.takes(model) == 10us);
  CHECK(costs.model_of("step", 4096) == model);
  CHECK_FALSE(costs.takes(costs.model_of("other", 4096)));
}

TEST_CASE("costs: tasks of other sizes are others, those of nearly the same size are not") {
  Costs costs;
  const auto of = [&](std::uint64_t bytes) { return costs.model_of("step", bytes); };
  CHECK(of(4096) == of(6000));
  CHECK(of(4096) != of(6144));
  CHECK(of(4096) != of(4095));
  CHECK(of(0) != of(1));
  CHECK(of(1) != of(2));
  CHECK(of(2) != of(3));
  CHECK(of(0) != 0);
  CHECK(costs.known_model("step", 5000) == of(4096));
  CHECK(costs.known_model("other", 5000) == 0);
  CHECK(of(~std::uint64_t{0}) == of(~std::uint64_t{0} - 1));
  costs.took(of(4096), 1us);
  costs.took(of(3), 2us);
  const auto learned = costs.learned();
  REQUIRE(learned.size() == 2);
  CHECK(learned[0].bytes == 3);
  CHECK(learned[1].bytes == 4096);
}

TEST_CASE("costs: the latest ones count most") {
  Costs costs;
  const auto model = costs.model_of("step", 1);
  for (int i = 0; i < 100; ++i) costs.took(model, 10us);
  for (int i = 0; i < 100; ++i) costs.took(model, 20us);
  CHECK(*costs.takes(model) > 19us);
  costs.took(model, -5ns);  // of a clock that went back
  CHECK(*costs.takes(model) > 19us);
}

TEST_CASE("costs: what copies take is learned from them") {
  Costs costs;
  CHECK(costs.brings(0) == 0ns);
  CHECK(costs.brings(4'000'000'000) == 1s);  // before anything is known
  costs.brought(1000, 1us);
  CHECK(costs.brings(1'000'000) == 1ms);
  CHECK(costs.brings(~std::uint64_t{0}).count() > 0);
}

TEST_CASE("costs: another node reads what one has written") {
  Costs costs;
  costs.took(costs.model_of("step with a name", 4096), 10us);
  costs.took(costs.model_of("step", 0), 20us);
  costs.brought(1000, 1us);
  Costs other;
  REQUIRE(other.read(costs.text()));
  CHECK(other.text() == costs.text());
  CHECK(other.takes(other.model_of("step with a name", 4100)) == 10us);
  CHECK(other.brings(1'000'000) == 1ms);
  REQUIRE(other.read(""));
  // The largest that a file may say is learned on from, and read again.
  const std::string extreme =
      "troupe learned costs 1\nbytes/s\t1000000000000000\t4294967296\n"
      "129\t10800000000000\t4294967296\tstep\n0\t0\t1\tstep\n";
  Costs third;
  REQUIRE(third.read(extreme));
  const auto model = third.model_of("step", ~std::uint64_t{0});
  third.took(model, Costs::longest);
  third.took(model, std::chrono::hours(1'000'000));
  third.brought(~std::uint64_t{0}, 1ns);
  CHECK(*third.takes(model) <= Costs::longest);
  CHECK(third.brings(1) >= 0ns);
  REQUIRE(Costs().read(third.text()));
}

TEST_CASE("costs: no more callables are learned than there is room for") {
  Costs costs;
  for (std::size_t i = 0; i < Costs::most_models; ++i) CHECK(costs.model_of("k" + std::to_string(i), 1) != 0);
  CHECK(costs.model_of("one more", 1) == 0);
  costs.took(0, 1us);
  CHECK_FALSE(costs.takes(0));
  CHECK(costs.model_of("k7", 1) != 0);
}

TEST_CASE("costs: a file that is none is refused with its line") {
  const std::string first = "troupe learned costs 1\n";
  for (const std::string text :
       {"hello\n", "\n", "troupe learned costs 2\n", "troupe learned costs 1\n1\t2\t3\tste"})
    CHECK_FALSE(Costs().read(text));
  for (const std::string line :
       {"1\t2\t3", "1\t2\t3\t", "x\t2\t3\tstep", "1\t-2\t3\tstep", "1\t2\t0\tstep", "130\t2\t3\tstep", "1\t2",
        "1\t99999999999999999999999\t3\tstep", "bytes/s\t1", "bytes/s\t0x1\t1", "\t\t\t", "2\t2\t3\tstep",
        "3\t2\t3\tstep", "1\t10800000000001\t3\tstep", "1\t2\t4294967297\tstep", "bytes/s\t1\t1\tmore",
        "bytes/s\t0\t1"}) {
    CAPTURE(line);
    const auto read = Costs().read(first + "1\t2\t3\tstep\n" + line + "\n");
    REQUIRE_FALSE(read);
    CHECK(read.error().message().find("line 3") != std::string::npos);
  }
}

TEST_CASE("costs: the file is replaced as a whole, and what is wrong with it is said with its name") {
  const std::string file = "costs-test-" + std::to_string(doctest::getContextOptions()->rand_seed) + ".txt";
  REQUIRE(write_costs(file, "troupe learned costs 1\n1\t2\t3\tstep\n"));
  REQUIRE(read_costs(file));
  CHECK(read_costs(file)->ends_with("step\n"));
  REQUIRE(write_costs(file, "no"));
  const auto read = read_costs(file);
  REQUIRE_FALSE(read);
  CHECK(read.error().message().find(file) != std::string::npos);
  std::remove(file.c_str());
  CHECK(read_costs(file)->empty());
  CHECK_FALSE(write_costs("/no/such/folder/" + file, ""));
  CHECK_FALSE(read_costs("/no/such/folder/" + file));  // before the run, not after it
  for (const char* special : {"/", "/dev/full", "/dev/zero", "/dev/null"}) {
    CHECK_FALSE(read_costs(special));
    CHECK_FALSE(write_costs(special, ""));
  }
  REQUIRE(write_costs(file, "troupe learned costs 1\n"));
  REQUIRE(::symlink(file.c_str(), (file + ".link").c_str()) == 0);
  REQUIRE(write_costs(file + ".link", "troupe learned costs 1\n1\t2\t3\tstep\n"));
  CHECK(read_costs(file)->ends_with("step\n"));
  std::remove((file + ".link").c_str());
  std::remove(file.c_str());
}
