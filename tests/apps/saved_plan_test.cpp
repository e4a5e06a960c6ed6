// A plan that one process saved, run by another: `troupe run FILE.tplan`.
#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "apps/troupe_process.hpp"
#include "support/built.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using test::has;
using test::TemporaryFolder;
using test::troupe_command;
using tests::built;

namespace {

void twice(Orchestrator& node, Tensor x, Tensor y, Slot<float> keep) {
  node.submit("add_vectors", in(x), in(x), out(y));
  node.submit("decode_remember", in(x), inout(y), scalar(keep));
}

/// y = 2 x keep + x, of eight elements.
std::string saved_plan(const TemporaryFolder& folder) {
  System system;
  auto node = system.node({.platform = "a2a3sim", .chips = 1});
  node.load(built("modules/libtroupe_examples.so"));
  auto x = node.tensor<float>({8}, 1), y = node.tensor<float>({8});
  const auto file = folder / "twice.tplan";
  node.record(name("twice"), twice, x, y, 0.5f).save(file);
  return file;
}

}  // namespace

TEST_CASE("troupe run takes a saved plan, with the tensors and numbers of its parameters") {
  const TemporaryFolder folder;
  const auto run = "run " + saved_plan(folder);
  const std::string tensors = " --tensor f32[8]:in=3 --tensor f32[8]:out@" + (folder / "y");
  for (const auto& chips :
       std::vector<std::string>{"", " --chips 2", " --module " + built("modules/libtroupe_examples.so")}) {
    const auto done = troupe_command(run + chips + tensors + " --scalar f32=0.25");
    CAPTURE(done.output);
    CHECK(done.exit == 0);
    CHECK(has(done.output, "tensor 1 f32[8]: 4.5 4.5"));
  }
  const auto help = troupe_command(run + " --help");
  CHECK(help.exit == 0);
  CHECK(has(help.output, "twice.tplan: a saved plan"));
  const auto folderless = troupe_command(run + " --tensor f32[8]:in=3 --tensor f32[8]:out@/no/such/y");
  CHECK(folderless.exit == 3);
  CHECK(has(folderless.output, "\"/no/such/y\" cannot be written: No such file or directory"));
  CHECK_FALSE(has(folderless.output, "tensor 1"));
  CHECK(has(troupe_command("run hello --tensor f32[8]:in").output, "a program takes --param"));
  const auto nowhere = troupe_command("run nowhere.tplan --help");
  CHECK(nowhere.exit == 3);
  CHECK(has(nowhere.output, "there is no file \"nowhere.tplan\""));
  // Numbers that are left out are the recorded ones.
  const auto as_recorded = troupe_command(run + tensors);
  CHECK(has(as_recorded.output, "tensor 1 f32[8]: 6 6"));
  std::ifstream written(folder / "y", std::ios::binary);
  const std::vector<char> bytes(std::istreambuf_iterator<char>(written), {});
  REQUIRE(bytes.size() == 32);
  float last = 0;
  std::memcpy(&last, bytes.data() + 28, sizeof last);
  CHECK(last == 6);
}

TEST_CASE("a plan that gets other arguments than it takes says which it takes") {
  const TemporaryFolder folder;
  const auto run = "run " + saved_plan(folder);
  const auto refused = [&](const std::string& arguments, const char* why) {
    const auto done = troupe_command(run + arguments);
    CAPTURE(done.output);
    CHECK(done.exit == 2);
    CHECK(has(done.output, why));
    return done.output;
  };
  const auto all = refused("", "takes 2 tensors and 1 numbers, and is given 0 and 0");
  CHECK(has(all, "its arguments are --tensor f32[8]:in --tensor f32[8]:out --scalar f32="));
  refused(" --tensor f32[8]:in --tensor f32[9]:out", "takes f32[8] as tensor 1, and is given f32[9]");
  refused(" --tensor f32[8]:in --tensor f32[8]:out --param 0=1", "leave --nodes and --param away");
  CHECK(troupe_command("run vector_add --module x.so").exit == 2);
}

TEST_CASE("a file that is no plan, and code that is not there, end the command before anything runs") {
  const TemporaryFolder folder;
  const auto file = saved_plan(folder);
  const auto tensors = " --tensor f32[8]:in=3 --tensor f32[8]:out";
  const auto missing =
      troupe_command("run " + file + " --module " + built("modules/libtroupe_collectives.so") + tensors);
  CAPTURE(missing.output);
  CHECK(missing.exit == 3);
  CHECK(has(missing.output, "does not know: \"add_vectors\""));
  CHECK(has(missing.output, "--module"));
  std::ofstream(file, std::ios::binary | std::ios::in).seekp(60).put('x');
  const auto broken = troupe_command("run " + file + tensors);
  CHECK(broken.exit == 3);
  CHECK(has(broken.output, "twice.tplan\" is a plan with bytes missing, or other ones than it had"));
  CHECK(troupe_command("run " + (folder / "none.tplan") + tensors).exit == 3);
}
