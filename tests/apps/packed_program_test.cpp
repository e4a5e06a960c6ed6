// Callables that come as bytes, tried from the command line.
#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "apps/troupe_process.hpp"
#include "command/packed_program.hpp"
#include "support/built.hpp"
#include "support/packed_callable.hpp"
#include "support/temporary_folder.hpp"

namespace {

using troupe::test::has;
using troupe::test::TemporaryFolder;
using troupe::test::troupe_command;
using namespace troupe::tests;

std::vector<char> contents(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
std::vector<char> object(const std::string& name) {
  return contents(built("tests/platform/sim/orchestration/objects/" + name + ".so"));
}

/// A folder with an orchestration and a kernel, packed.
struct Packed {
  Packed() {
    const auto kernel = pack_kernel(object("linear"), {1, 2, 0, 0});
    write("linear.bin", kernel);
    write("chain.bin", pack_orchestration(object("chain_tmr"), "aicpu_orchestration_entry", {1, 2, 0},
                                          {{0, kernel}, {7, kernel}}));
  }
  void write(const std::string& name, const std::vector<char>& bytes) const {
    std::ofstream(path(name), std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  std::string path(const std::string& name) const { return (folder.path() / name).string(); }
  TemporaryFolder folder;
};

}  // namespace

TEST_CASE("a packed orchestration runs on both platforms, and its outputs are shown and written") {
  const Packed files;
  for (const std::string platform : {"a2a3sim", "a5sim"}) {
    const auto done =
        troupe_command("run " + files.path("chain.bin") + " --platform " + platform +
                       " --tensor f32[3]:in=3 --tensor f32[3]:out@" + files.path("y") + " --scalar f32=0.5");
    CAPTURE(done.output);
    CHECK(done.exit == 0);
    CHECK(has(done.output, "tensor 1 f32[3]: 70.5 70.5 70.5"));
    const auto written = contents(files.path("y"));
    REQUIRE(written.size() == 12);
    float last = 0;
    std::memcpy(&last, written.data() + 8, sizeof last);
    CHECK(last == 70.5f);
  }
}

TEST_CASE("a packed kernel and a kernel object take their tensors from files") {
  const Packed files;
  const std::vector<float> x{1, 2, 3, 4};
  std::vector<char> bytes(16);
  std::memcpy(bytes.data(), x.data(), bytes.size());
  files.write("x", bytes);
  const std::string arguments =
      " --tensor f32[4]:in@" + files.path("x") + " --tensor f32[4]:out --scalar f32=2 --scalar f32=1";
  for (const std::string& file :
       {files.path("linear.bin"), built("tests/platform/sim/orchestration/objects/linear.so")}) {
    const auto done = troupe_command("run " + file + arguments);
    CAPTURE(done.output);
    CHECK(done.exit == 0);
    CHECK(has(done.output, "tensor 1 f32[4]: 3 5 7 9"));
  }
}

TEST_CASE("tensors of every type that has values begin with the one that is given, and are shown as such") {
  const Packed files;
  files.write("any.bin", {1});
  const auto shown = [&](const std::string& tensor) {
    CAPTURE(tensor);
    const auto program = troupe::apps::PackedProgram::from(files.path("any.bin"), {tensor}, {});
    if (!program) return program.error().message();
    std::ostringstream out;
    CHECK(program->show(out));
    return out.str().substr(out.str().find(": "));
  };
  CHECK(shown("f16[2]:inout=1.5") == ": 1.5 1.5\n");
  CHECK(shown("f16[1]:inout=-65504") == ": -65504\n");
  CHECK(shown("f16[1]:inout=inf") == ": inf\n");
  CHECK(shown("bf16[2]:inout=-3") == ": -3 -3\n");
  CHECK(shown("float16[1]:inout=2") == ": 2\n");
  CHECK(shown("f32[1]:inout=0.1") == ": 0.1\n");
  CHECK(shown("f32[1]:inout=123456792") == ": 123456792\n");
  CHECK(shown("f64[1]:inout=0.1234567890123") == ": 0.1234567890123\n");
  CHECK(shown("i8[1]:inout=-128") == ": -128\n");
  CHECK(shown("u8[1]:inout=65") == ": 65\n");
  CHECK(shown("i16[1]:inout=-32768") == ": -32768\n");
  CHECK(shown("u16[1]:inout=65535") == ": 65535\n");
  CHECK(shown("i32[1]:inout=-2147483648") == ": -2147483648\n");
  CHECK(shown("u32[1]:inout=4294967295") == ": 4294967295\n");
  CHECK(shown("i64[1]:inout=-9223372036854775808") == ": -9223372036854775808\n");
  CHECK(shown("u64[1]:inout=18446744073709551615") == ": 18446744073709551615\n");
  CHECK(shown("bool[1]:inout=true") == ": 1\n");
  // What does not fit the type is no value of it.
  for (const std::string wrong : {"f16[1]:inout=65520", "f16[1]:inout=-1e9", "f16[1]:inout=x",
                                  "bf16[1]:inout=1e39", "bf16[1]:inout=3.4e38", "f16[1]:inout="}) {
    CHECK(has(shown(wrong), "has a value that is none of its type"));
  }
}

TEST_CASE("arguments that are wrong are told before anything runs") {
  const Packed files;
  const std::string run = "run " + files.path("chain.bin") + " ";
  for (const std::string wrong :
       {"--tensor 'f32[3:in'", "--tensor 'f33[3]:in'", "--tensor 'f32[3]:inn'", "--tensor 'f32[]:in'",
        "--tensor 'f32[3]:in=x'", "--tensor 'f16[3]:in=x'", "--scalar f16=70000", "--tensor 'f32[3]:in@'",
        "--tensor 'f32[1,2,3,4,5,6]:in'", "--scalar f32", "--scalar f32=x", "--scalar f31=1",
        "--tensor 'f32[99999999,99999999]:in'", "--nodes 2", "--param a=1"}) {
    const auto done = troupe_command(run + wrong);
    CAPTURE(wrong);
    CAPTURE(done.output);
    CHECK(done.exit == 2);
    CHECK(has(done.output, "bad_parameter"));
  }
  CHECK(troupe_command("run " + files.path("none.bin")).exit == 3);
  files.write("x", {1, 2, 3});
  CHECK(troupe_command(run + "--tensor f32[3]:in@" + files.path("x")).exit == 2);
}

TEST_CASE("what an orchestration refuses is the run's error") {
  const Packed files;
  const auto few =
      troupe_command("run " + files.path("chain.bin") + " --tensor f32[3]:in=3 --tensor f32[3]:out");
  CHECK(few.exit == 1);
  CHECK(has(few.output, "wants 3 arguments, the run has 2"));
}
