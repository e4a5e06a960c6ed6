// Runs that a chip's library would not take, and what depends on a run that was never sent.
#include <signal.h>

#include "fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using platform::RunArgs;

namespace {

/// More scalars than a chip takes, fewer than what is a mistake anywhere.
RunArgs too_many_scalars() {
  RunArgs args;
  for (int i = 0; i < 200; ++i) args.add(runtime::scalar(1.0F));
  return args;
}

}  // namespace

TEST_CASE("a run with more arguments than the chip takes is refused at once, and all that came with it") {
  IsolatedChip chip;
  const auto nothing = chip.kernel("isolated_nothing");
  const auto good = RunArgs(), bad = too_many_scalars();
  const troupe_run runs[] = {good.run(1, nothing), bad.run(2, nothing)};
  const auto refused = chip.context->launch(runs);
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == platform::Errc::invalid_argument);
  CHECK_MESSAGE(contains(render(refused.error()), "200 scalars"), render(refused.error()));
  float value = 1.0F;
  RunArgs many;
  for (int i = 0; i < 300; ++i) many.add(runtime::in(runtime::Tensor::host(&value, {1})));
  const auto tensors = many.run(1, nothing);
  CHECK_FALSE(chip.context->launch({&tensors, 1}).has_value());
  // The numbers were not taken.
  CHECK(chip.launch(nothing) == 1);
  CHECK(chip.end_of(1).code == 0);
  CHECK(chip.context->status().value().totals.runs_completed == 1);
}

TEST_CASE("a run that waits for memory is skipped after one that failed unsent, whatever is settled since") {
  IsolatedChip chip;
  const auto process = static_cast<pid_t>(chip.process());
  const auto nothing = chip.kernel("isolated_nothing"), add = chip.kernel("isolated_add");
  std::vector<float> own(16, 1.0F);
  const auto args =
      RunArgs::of(runtime::inout(runtime::Tensor::host(own.data(), {16})), runtime::scalar(1.0F));
  REQUIRE(::kill(process, SIGSTOP) == 0);
  const auto first = chip.launch(add, args), failed = chip.launch(add, args),
             between = chip.launch(add, args);
  const auto skipped = chip.launch(nothing, RunArgs().after(failed));
  chip.context->abort(failed).value();
  CHECK(chip.end_of(failed).code == TROUPE_DEVICE_ABORTED);
  const auto last = RunArgs().run(skipped + 1, nothing);
  chip.context->launch({&last, 1}, failed + 1).value();
  REQUIRE(::kill(process, SIGCONT) == 0);
  for (const auto run : {first, between, last.correlation}) CHECK(chip.end_of(run).code == 0);
  const auto end = chip.end_of(skipped);
  CHECK(end.code == TROUPE_DEVICE_POISONED);
  CHECK(end.caused_by == failed);
}
