#include "dump/dump.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include "errc.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/actors/tensor_dump.hpp"

namespace {

using namespace troupe;
using troupe::actors::TensorDump;

troupe_dump_record record_of(const float* data, std::uint32_t rows, std::uint32_t columns) {
  troupe_dump_record record = {};
  record.name = "add";
  record.task = 3;
  record.argument = 1;
  record.tag = TROUPE_TAG_INOUT;
  record.dtype = static_cast<std::uint32_t>(runtime::DType::f32);
  record.ndims = 2;
  record.shape[0] = rows;
  record.shape[1] = columns;
  record.data = data;
  record.bytes = std::uint64_t{rows} * columns * sizeof(float);
  return record;
}

TEST_CASE("a dump is read back with its elements and described in a line") {
  const test::TemporaryFolder folder;
  const float before[] = {1, 2, 3, 4, 5, 6}, after[] = {2, 3, NAN, 5, INFINITY, 7};
  {
    auto dump = TensorDump::create(folder / "d").value();
    auto record = record_of(before, 2, 3);
    dump->record("node0/chip1", 5 * actors::task_step, record);
    record.after = 1;
    record.data = after;
    dump->record("node0/chip1", 5 * actors::task_step, record);
    CHECK(dump->close());
  }
  const auto entries = apps::read_dump(folder / "d").value();
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].stage == "before");
  CHECK(apps::describe(entries[1], 1, apps::read_bytes(folder / "d", entries[1]).value()) ==
        "[#1] node0/chip1 5.3 add after inout[1] f32[2, 3] min 2 max 7 mean 4.25, nan: 1, inf: 1");
  CHECK(apps::render_elements(entries[0], apps::read_bytes(folder / "d", entries[0]).value()) ==
        "1 2 3\n4 5 6\n");
  // A folder with a dump is not written over.
  CHECK_FALSE(TensorDump::create(folder / "d"));
}

/// A line for the elements, and what stands behind the shape of their description.
template <class T>
std::pair<std::string, std::string> shown(const std::vector<T>& values) {
  apps::DumpEntry entry;
  entry.dtype = runtime::dtype_of<T>;
  entry.shape = {values.size()};
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  const auto line = apps::describe(entry, 0, bytes);
  return {apps::render_elements(entry, bytes), line.substr(line.rfind(']') + 1)};
}

TEST_CASE("elements are shown with every digit that they have") {
  using Line = std::pair<std::string, std::string>;
  CHECK(shown<std::int64_t>({16777217, 123456789, 9007199254740993, -1}) ==
        Line{"16777217 123456789 9007199254740993 -1\n",
             " min -1 max 9007199254740993 mean 2251799848743749.5"});
  CHECK(shown<std::int64_t>({INT64_MIN, INT64_MAX}).first == "-9223372036854775808 9223372036854775807\n");
  CHECK(shown<std::uint64_t>({UINT64_MAX, UINT64_MAX - 1})
            .second.starts_with(" min 18446744073709551614 max 18446744073709551615 mean "));
  CHECK(shown<std::int32_t>({INT32_MIN, INT32_MAX}) ==
        Line{"-2147483648 2147483647\n", " min -2147483648 max 2147483647 mean -0.5"});
  CHECK(shown<std::uint32_t>({UINT32_MAX}).first == "4294967295\n");
  CHECK(shown<std::int16_t>({INT16_MIN}).first == "-32768\n");
  CHECK(shown<std::uint16_t>({UINT16_MAX}).first == "65535\n");
  CHECK(shown<std::int8_t>({-128, 65}) == Line{"-128 65\n", " min -128 max 65 mean -31.5"});
  CHECK(shown<std::uint8_t>({255, 65}).first == "255 65\n");
  CHECK(shown<float>({0.1F, 16777216, 123456792, 1.0F / 3, 1e20F, -0.0F}).first ==
        "0.1 16777216 123456792 0.33333334 1e+20 -0\n");
  CHECK(shown<float>({0.1F, 0.1F}).second == " min 0.1 max 0.1 mean 0.1");
  CHECK(shown<float>({NAN, INFINITY, -INFINITY}) == Line{"nan inf -inf\n", ", nan: 1, inf: 2"});
  CHECK(shown<double>({0.1, 1.0 / 3, 16777217, 5e-324, 1.7976931348623157e308}).first ==
        "0.1 0.3333333333333333 16777217 4.940656e-324 1.7976931348623157e+308\n");
  CHECK(shown<runtime::Float16>({runtime::Float16(1.5F), runtime::Float16(-65504)}) ==
        Line{"1.5 -65504\n", " min -65504 max 1.5 mean -32751.25"});
  CHECK(shown<runtime::BFloat16>({runtime::BFloat16(1.5F), runtime::BFloat16(-3)}).first == "1.5 -3\n");
  apps::DumpEntry entry;
  entry.shape = {2};
  for (const auto opaque : {runtime::DType::boolean, runtime::DType::f8e4m3}) {
    entry.dtype = opaque;
    CHECK(apps::render_elements(entry, "\x01\xff") == "1 255\n");
  }
}

TEST_CASE("an entry as a file of NumPy has its type, its shape and its bytes") {
  apps::DumpEntry entry;
  entry.shape = {2, 3};
  const std::string bytes(24, 'x');
  const auto file = apps::as_npy(entry, bytes).value();
  CHECK(file.starts_with(std::string("\x93NUMPY\x01\x00", 8)));
  const std::size_t header = static_cast<unsigned char>(file[8]) + 256U * static_cast<unsigned char>(file[9]);
  CHECK((10 + header) % 64 == 0);
  CHECK(file.size() == 10 + header + bytes.size());
  CHECK(file.substr(10 + header) == bytes);
  CHECK(file[9 + header] == '\n');
  CHECK(file.substr(10, header).starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, ), }"));
  entry.shape = {};
  entry.dtype = runtime::DType::boolean;
  CHECK(apps::as_npy(entry, "x")
            .value()
            .substr(10)
            .starts_with("{'descr': '|b1', 'fortran_order': False, 'shape': (), }"));
  // 1.5 of bf16 is the upper half of 1.5 of f32.
  entry.dtype = runtime::DType::bf16;
  CHECK(apps::as_npy(entry, std::string("\xc0\x3f", 2)).value().ends_with(std::string("\0\0\xc0\x3f", 4)));
  entry.truncated = true;
  CHECK_FALSE(apps::as_npy(entry, ""));
}

TEST_CASE("a filter lets through what it names") {
  apps::DumpEntry entry;
  entry.task = "5.3";
  entry.name = "vector_add";
  entry.stage = "after";
  entry.role = "out";
  entry.argument = 2;
  CHECK(apps::DumpFilter{}.admits(entry, 7));
  CHECK(apps::DumpFilter{
      .task = "5.3", .name = "*_add", .stage = "after", .role = "out", .argument = 2, .index = 7}
            .admits(entry, 7));
  CHECK_FALSE(apps::DumpFilter{.task = "5"}.admits(entry, 7));
  CHECK_FALSE(apps::DumpFilter{.name = "add"}.admits(entry, 7));
  CHECK_FALSE(apps::DumpFilter{.stage = "before"}.admits(entry, 7));
  CHECK_FALSE(apps::DumpFilter{.argument = 1}.admits(entry, 7));
  CHECK_FALSE(apps::DumpFilter{.index = 6}.admits(entry, 7));
}

TEST_CASE("past its bound a dump goes on without elements") {
  const test::TemporaryFolder folder;
  const float data[] = {1, 2, 3, 4};
  auto dump = TensorDump::create(folder / "d", 20).value();
  dump->record("c", 0, record_of(data, 2, 2));
  dump->record("c", 0, record_of(data, 2, 2));
  CHECK(dump->close());
  const auto entries = apps::read_dump(folder / "d").value();
  REQUIRE(entries.size() == 2);
  CHECK_FALSE(entries[0].truncated);
  CHECK(entries[1].truncated);
  CHECK(apps::read_bytes(folder / "d", entries[1]).value().empty());
}

TEST_CASE("a damaged dump is refused with its line, a last line cut short is left out") {
  const test::TemporaryFolder folder;
  const float data[] = {1, 2, 3, 4};
  {
    auto dump = TensorDump::create(folder / "d").value();
    dump->record("c", 0, record_of(data, 2, 2));
  }
  const std::string index = folder / "d/tensors.jsonl";
  std::ofstream(index, std::ios::app) << R"({"task":"1","na)";
  CHECK(apps::read_dump(folder / "d").value().size() == 1);
  std::ofstream(index, std::ios::app) << "\n{}\n";
  const auto broken = apps::read_dump(folder / "d");
  REQUIRE_FALSE(broken);
  CHECK(broken.error().message().find("line 3") != std::string::npos);
  const auto refused = [&](const std::string& line) {
    std::ofstream(index) << "{\"troupe_dump\":1}\n" << line << "\n";
    const auto result = apps::read_dump(folder / "d");
    REQUIRE_FALSE(result);
    CHECK(result.error() == apps::Errc::bad_file);
  };
  const std::string head = R"({"task":"1","name":"n","chip":"c","stage":"after","role":"in","argument":0,)";
  refused(head + R"("dtype":"f99","shape":[1],"offset":0,"bytes":4,"truncated":false})");
  refused(head + R"("dtype":"f32","shape":[2],"offset":0,"bytes":4,"truncated":false})");
  refused(head + R"("dtype":"f32","shape":[2],"offset":12,"bytes":8,"truncated":false})");
  refused(head + R"("dtype":"f32","shape":[4294967296,4294967296],"offset":0,"bytes":0,"truncated":false})");
  refused(head + R"("dtype":"f32","shape":[1.5,0],"offset":0,"bytes":0,"truncated":false})");
  refused(head + R"("dtype":"f32","shape":[-1,0],"offset":0,"bytes":0,"truncated":false})");
  refused(head + R"("dtype":"f32","shape":0,"offset":0,"bytes":0,"truncated":false})");
  refused(head + R"("dtype":"f32","shape":[0],"offset":-1,"bytes":0,"truncated":false})");
  refused(head + R"("dtype":"f32","shape":[0],"offset":0,"bytes":0.5,"truncated":false})");
  refused(R"({"task":"1","name":"n","chip":"c","stage":"after","role":"in","argument":4294967296,)"
          R"("dtype":"f32","shape":[0],"offset":0,"bytes":0,"truncated":false})");
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  refused(head + R"("dtype":"f32","shape":)" + deep + R"(,"offset":0,"bytes":0,"truncated":false})");
  CHECK(apps::read_dump(folder / "nowhere").error() == apps::Errc::cannot_read);
}

}  // namespace
