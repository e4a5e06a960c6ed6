// Runs that the library of a node's chip refuses, though it was to be expected that it takes them.
#include <map>
#include <vector>

#include "fixture.hpp"
#include "guest.hpp"

using namespace troupe;
using namespace troupe::test;
using platform::RunArgs;

namespace {

/// The ends of so many runs.
std::map<std::uint64_t, troupe_completion> hear_ends(const Guest& guest, std::size_t count) {
  std::map<std::uint64_t, troupe_completion> ends;
  while (ends.size() < count) {
    const auto heard = guest.hear(Kind::completions);
    REQUIRE(heard);
    Reader reader(heard->payload);
    std::vector<troupe_completion> some;
    std::vector<std::string> messages;
    REQUIRE(read_completions(reader, some, messages));
    for (const auto& end : some) CHECK(ends.emplace(end.correlation, end).second);
  }
  return ends;
}

void launch(const Guest& guest, std::span<const troupe_run> runs, std::uint64_t settled = 0) {
  Writer words;
  words.put(settled).put(std::uint64_t{runs.size()});
  for (const auto& run : runs) put_run(words, run, {});
  guest.say(Kind::launch, words);
}

RunArgs too_many_scalars() {
  RunArgs args;
  for (int i = 0; i < 200; ++i) args.add(runtime::scalar(1.0F));
  return args;
}

}  // namespace

TEST_CASE("what depends on a run that the library of a chip refuses is skipped, also when it comes later") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  const auto nothing = guest.kernel("isolated_nothing");
  const auto bad = too_many_scalars();
  const auto second = RunArgs().after(1), third = RunArgs().after(2), free = RunArgs();
  const troupe_run refused = bad.run(1, nothing), poisoned = second.run(2, nothing);
  launch(guest, {&refused, 1});
  launch(guest, {&poisoned, 1});
  const troupe_run more[] = {third.run(3, nothing), free.run(4, nothing)};
  launch(guest, more, 1);
  const auto ends = hear_ends(guest, 4);
  CHECK(ends.at(1).code == TROUPE_DEVICE_INVALID_ARGUMENT);
  for (const std::uint64_t run : {2, 3}) {
    CHECK(ends.at(run).code == TROUPE_DEVICE_POISONED);
    CHECK(ends.at(run).caused_by == 1);
  }
  CHECK(ends.at(4).code == 0);
}

TEST_CASE("of runs that come together the one that the library refuses fails, and what depends on it") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  const auto nothing = guest.kernel("isolated_nothing");
  const auto bad = too_many_scalars(), free = RunArgs(), second = RunArgs().after(2);
  const troupe_run runs[] = {free.run(1, nothing), bad.run(2, nothing), second.run(3, nothing),
                             free.run(4, nothing)};
  launch(guest, runs);
  const auto ends = hear_ends(guest, 4);
  CHECK(ends.at(1).code == 0);
  CHECK(ends.at(2).code == TROUPE_DEVICE_INVALID_ARGUMENT);
  CHECK(ends.at(3).code == TROUPE_DEVICE_POISONED);
  CHECK(ends.at(3).caused_by == 2);
  CHECK(ends.at(4).code == 0);
}
