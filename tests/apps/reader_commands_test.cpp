// What looks at traces and dumps, through the command: its options do what they say.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/troupe_process.hpp"
#include "dump/dump.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/runtime/dtype.hpp"

namespace {

using troupe::test::has;
using troupe::test::shell;
using troupe::test::TemporaryFolder;
using troupe::test::troupe_command;

/// What it says on standard output alone, as a script gets it.
std::string printed(const std::string& arguments) {
  const auto done = shell(troupe::tests::built("bin/troupe") + " " + arguments + " 2>/dev/null");
  CAPTURE(arguments);
  CHECK(done.exit == 0);
  return done.output;
}

std::string trace_of_heat(const TemporaryFolder& folder) {
  const std::string file = folder / "t.json";
  REQUIRE(troupe_command("run heat_rows --chips 2 --param size=16 --param steps=4 --trace " + file).exit ==
          0);
  return file;
}

/// The rows of a table of the summary: what stands below its title, up to an empty line.
std::size_t rows_below(const std::string& summary, const std::string& title) {
  const auto begin = summary.find("\n" + title + "\n");
  REQUIRE(begin != std::string::npos);
  std::istringstream lines(summary.substr(begin + title.size() + 2));
  std::size_t rows = 0;
  for (std::string line; std::getline(lines, line) && !line.empty();) ++rows;
  return rows;
}

TEST_CASE("trace summary --json prints one object, and nothing else") {
  const TemporaryFolder folder;
  const std::string file = trace_of_heat(folder);
  const auto json = nlohmann::json::parse(printed("trace summary " + file + " --json"));
  CHECK(json["failed"] == 0);
  CHECK(json["length"] > 0);
  CHECK(json["tasks"] > 0);
  CHECK(json["metadata"]["platform"] == "a2a3sim");
  CHECK(json["longest"].size() > 2);
  CHECK(json["critical_path"]["steps"].size() > 1);
}

TEST_CASE("trace summary --top says how many rows each table has") {
  const TemporaryFolder folder;
  const std::string file = trace_of_heat(folder);
  const std::string two = printed("trace summary " + file + " --top 2"),
                    all = printed("trace summary " + file);
  CAPTURE(two);
  CHECK(rows_below(two, "utilisation of each lane") == 4);  // the header, two, and how many more there are
  CHECK(rows_below(two, "longest tasks") == 3);
  CHECK(rows_below(all, "longest tasks") > 3);
  CHECK(nlohmann::json::parse(printed("trace summary " + file + " --json --top 2"))["longest"].size() == 2);
  CHECK(troupe_command("trace summary " + file + " --top 0").exit == 2);
}

TEST_CASE("trace graph --name draws the tasks of that name, for Graphviz and for Mermaid") {
  const TemporaryFolder folder;
  const std::string file = folder / "t.json";
  REQUIRE(troupe_command("run dependencies --trace " + file).exit == 0);
  const auto callables = nlohmann::json::parse(printed("trace summary " + file + " --json"))["callables"];
  std::vector<std::string> kernels;
  for (const auto& callable : callables) {
    if (callable["kind"] == "aiv" || callable["kind"] == "aic") kernels.push_back(callable["name"]);
  }
  CAPTURE(callables.dump());
  REQUIRE(kernels.size() >= 2);
  for (const std::string name : {"g.dot", "g.mmd"}) {
    CAPTURE(name);
    printed("trace graph " + file + " " + (folder / name));
    const std::string whole = shell("cat " + (folder / name)).output;
    printed("trace graph " + file + " " + (folder / name) + " --name '" + kernels[0] + "'");
    const std::string part = shell("cat " + (folder / name)).output;
    CHECK(has(whole, kernels[0]));
    CHECK(has(whole, kernels[1]));
    CHECK(has(part, kernels[0]));
    CHECK_FALSE(has(part, kernels[1]));
  }
  const auto none =
      troupe_command("trace graph " + file + " " + (folder / "n.dot") + " --name " + kernels[0] + "x");
  CAPTURE(none.output);
  CHECK(none.exit == 3);
  CHECK(has(none.output, "did you mean " + kernels[0] + "?"));
}

/// Debian's Python with numpy. Where every test counts it has to be there.
bool numpy_is_there() {
  if (shell("/usr/bin/python3 -c 'import numpy' 2>&1").exit == 0) return true;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): read only
  REQUIRE_MESSAGE(std::getenv("CI") == nullptr,
                  "where every test counts, this one is not skipped for want of numpy");
  MESSAGE("skipped: no numpy here (apt-get install python3-numpy)");
  return false;
}

TEST_CASE("dump --npy writes arrays that numpy opens") {
  const TemporaryFolder folder;
  REQUIRE(troupe_command("run vector_add --param elements=4 --tensor-dump " + (folder / "d")).exit == 0);
  const auto done =
      troupe_command("dump " + (folder / "d") + " --stage after --role out --npy " + (folder / "arrays"));
  CAPTURE(done.output);
  REQUIRE(done.exit == 0);
  CHECK(shell("ls " + (folder / "arrays") + " | wc -l").output == "1\n");
  if (!numpy_is_there()) return;
  const auto read =
      shell("cd " + (folder / "arrays") +
            " && /usr/bin/python3 -c 'import glob, numpy; x = numpy.load(glob.glob(\"*.npy\")[0]); "
            "print(x.dtype, x.shape, x.tolist())' 2>&1");
  CHECK(read.output == "float32 (4,) [5.0, 5.0, 5.0, 5.0]\n");
}

TEST_CASE("an array of every element type is one that numpy opens") {
  if (!numpy_is_there()) return;
  const TemporaryFolder folder;
  std::string expected;
  for (std::uint32_t number = 0; number < 256; ++number) {
    if (!troupe::runtime::is_dtype(number)) continue;
    troupe::apps::DumpEntry entry;
    entry.dtype = static_cast<troupe::runtime::DType>(number);
    entry.shape = {2, 3};
    const std::size_t bytes = 6 * size_of(entry.dtype);
    std::ofstream(folder / (std::to_string(number) + ".npy"), std::ios::binary)
        << troupe::apps::as_npy(entry, std::string(bytes, '\0')).value();
    // Those of two bytes without a type of their own are written as larger ones.
    const bool wider = entry.dtype == troupe::runtime::DType::bf16;
    expected += std::to_string(number) + " (2, 3) " + std::to_string(wider ? 2 * bytes : bytes) + "\n";
  }
  const auto read = shell("cd " + (folder / "") +
                          " && /usr/bin/python3 -c 'import glob, numpy\n"
                          "for n in sorted(int(f[:-4]) for f in glob.glob(\"*.npy\")):\n"
                          "  x = numpy.load(str(n) + \".npy\"); print(n, x.shape, x.nbytes)' 2>&1");
  CHECK(read.output == expected);
}

}  // namespace
