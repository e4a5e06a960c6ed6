// `read<float>` of an i32 tensor gave its bits as floats; a read of an intermediate that no task had written
// gave what lay in the arena; `x[i]` outside a view gave an element of somebody else. Promised now: each is
// an error that names what was read and what is there, before anything of it is read.
#include <doctest/doctest.h>

#include <random>
#include <set>

#include "program/unwritten_buffers.hpp"
#include "program/written_parts.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using testing::Simulation;

TEST_CASE("a read with another element type than the tensor's is refused") {
  Simulation sim;
  auto x = sim.node().tensor<std::int32_t>({4}, 7);
  sim.node().run([&](Orchestrator& node) {
    const auto error = error_of([&] { (void)node.read<float>(x).get(); });
    REQUIRE(error);
    CHECK(*error == runtime::Errc::dtype_mismatch);
    CHECK(error->message().find("f32") != std::string::npos);
    CHECK(error->hint().find("i32") != std::string::npos);
    CHECK(error_of([&] { (void)node.read_all<std::uint32_t>(x).get(); }));
    CHECK(error_of([&] { (void)node.read<float>(Tensor{}).get(); }).value() == Errc::bad_argument);
    CHECK(node.read<std::int32_t>(x).get() == 7);
  });
}

TEST_CASE("a look at the elements of a tensor as another type, or with gaps, is refused") {
  Simulation sim;
  auto x = sim.node().tensor<std::int32_t>({4, 4}, 7);
  CHECK(x.host<std::int32_t>()[15] == 7);
  CHECK(error_of([&] { (void)x.host<float>(); }).value() == runtime::Errc::dtype_mismatch);
  const auto column = x.slice(1, 0, 1);
  CHECK(error_of([&] { (void)column.host<std::int32_t>(); }).value() == runtime::Errc::not_contiguous);
  CHECK(x.rows(2, 2).host<std::int32_t>().empty());
  CHECK(error_of([&] { (void)Tensor{}.host<float>(); }).value() == Errc::bad_argument);
  sim.node().run([](Orchestrator& node) {
    auto made = node.alloc<float>({1});
    CHECK(error_of([&] { (void)made.host<float>(); }).value() == Errc::bad_argument);
  });
}

TEST_CASE("the first element of a tensor without elements is refused") {
  Simulation sim;
  auto x = sim.node().tensor<float>({4}).slice(0, 2, 2);
  sim.node().run([&](Orchestrator& node) {
    CHECK(error_of([&] { (void)node.read<float>(x).get(); }).value() == runtime::Errc::out_of_range);
    CHECK(node.read_all<float>(x).get().empty());
  });
}

TEST_CASE("an intermediate that no task writes cannot be read") {
  Simulation sim;
  sim.kernel("use", [](auto&) {});
  sim.node().run([&](Orchestrator& node) {
    auto made = node.alloc<float>({4});
    const auto as_argument = error_of([&] { node.submit("use", in(made)); });
    REQUIRE(as_argument);
    CHECK(*as_argument == Errc::bad_argument);
    CHECK(as_argument->message() ==
          "task \"use\": tensor argument 0 is an intermediate that nothing has written");
    const auto as_read = error_of([&] { (void)node.read<float>(made).get(); });
    REQUIRE(as_read);
    CHECK(as_read->message() == "the tensor to read is an intermediate that nothing has written");
    std::vector<Args> members;
    members.push_back(args(in(made)));
    CHECK(error_of([&] { node.submit_group("use", members); }));

    node.submit("use", inout(made.slice(0, 0, 1)));  // whoever writes a part says inout
    node.submit("use", in(made));
    auto another = node.alloc<float>({4});
    node.submit("use", out(another));
    (void)node.read<float>(another).get();
  });
  CHECK(sim.ran("use") == 3);
}

TEST_CASE("a part of an intermediate that no task writes cannot be read, whatever else of it is written") {
  Simulation sim;
  sim.kernel("use", [](auto&) {});
  sim.node().run([&](Orchestrator& node) {
    auto made = node.alloc<float>({4, 8});
    node.submit("use", out(made.rows(0, 2)));
    (void)node.read_all<float>(made.rows(0, 2)).get();
    (void)node.read_all<float>(made.view({1, 3}, {1, 2})).get();
    const auto whole = error_of([&] { (void)node.read_all<float>(made).get(); });
    REQUIRE(whole);
    CHECK(*whole == Errc::bad_argument);
    CHECK(whole->message() ==
          "the tensor to read, f32[4, 8], has a part that nothing has written: f32[2, 8] at byte 64 of a "
          "buffer "
          "of 128 bytes");
    const auto part = error_of([&] { (void)node.read<float>(made.rows(3, 4)).get(); });
    REQUIRE(part);
    CHECK(part->message() ==
          "the tensor to read, f32[1, 8] at byte 96 of a buffer of 128 bytes, is a part of an intermediate "
          "that nothing has "
          "written; other parts of it were");
    // A task may know which part of its argument is there, but of this nothing is.
    node.submit("use", in(made));
    CHECK(error_of([&] { node.submit("use", in(made.rows(2, 4))); }));

    for (const std::uint64_t column : {5U, 0U, 3U, 7U, 1U, 2U, 6U}) {
      node.submit("use", out(made.slice(1, column, column + 1).rows(2, 4)));
    }
    const auto hole = error_of([&] { (void)node.read_all<float>(made).get(); });
    REQUIRE(hole);
    CHECK(hole->message().find("f32[1, 1] at byte 80") != std::string::npos);
    node.submit("use", out(made.slice(1, 4, 5)));
    (void)node.read_all<float>(made).get();
    (void)node.read_all<float>(made.transpose()).get();
  });
}

TEST_CASE("the parts of a buffer that were written are known, in any order and layout") {
  std::mt19937_64 random(test::first_seed());
  const auto between = [&](std::uint64_t least, std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(least, most)(random);
  };
  for (std::uint64_t round = 0; round < test::cases(300); ++round) {
    const auto rows = between(1, 6), columns = between(1, 6);
    float memory[36];
    const auto whole = runtime::Tensor::host(memory, runtime::Shape(rows, columns));
    std::set<std::pair<std::uint64_t, std::uint64_t>> written;
    actors::WrittenParts parts;
    for (int write = 0; write < 8; ++write) {
      const auto r = between(0, rows - 1), c = between(0, columns - 1);
      const auto h = between(1, rows - r), w = between(1, columns - c);
      parts.add(whole.view(runtime::Shape(r, c), runtime::Shape(h, w)));
      for (auto i = r; i < r + h; ++i) {
        for (auto j = c; j < c + w; ++j) written.emplace(i, j);
      }
      const auto missing = parts.missing_in(whole);
      CHECK(missing.has_value() == (written.size() < rows * columns));
      if (missing) {
        const auto first = missing->byte_offset() / sizeof(float);
        CHECK_FALSE(written.contains({first / columns, first % columns}));
        CHECK(parts.none_of(*missing));
      }
    }
  }
}

TEST_CASE("the book of unwritten intermediates keeps up with any order of writes") {
  actors::UnwrittenBuffers book;
  CHECK_FALSE(book.contains(1));
  for (std::uint64_t i = 1; i <= 1000; ++i) book.made(i);
  for (std::uint64_t i = 1000; i > 1; --i) book.written(i);
  CHECK(book.contains(1));
  CHECK_FALSE(book.contains(2));
  book.written(1);
  book.written(1);
  CHECK_FALSE(book.contains(1));
  book.made(1001);
  CHECK(book.contains(1001));
  CHECK_FALSE(book.contains(1000));
  book.written(5000);
  CHECK(book.contains(1001));
}

TEST_CASE("an index outside a view is an error of the kernel, not an element of somebody else") {
  Simulation sim;
  std::string message;
  sim.kernel("look", [&](auto& call) {
    const auto x = call.template tensor<float>(0);
    const auto at = [&](auto look) {
      const auto error = error_of([&] { look(); });
      return error ? error->message() : std::string();
    };
    CHECK(at([&] { (void)x[3]; }).empty());
    CHECK(at([&] { (void)x[4]; }) == "element 4 of a tensor with 4");
    CHECK(at([&] { (void)x(1, 2); }) == "index 2 of dimension 1, which has 2");
    CHECK(at([&] { (void)x(-1, 0); }) == "index -1 of dimension 0, which has 2");
    CHECK(at([&] { (void)x(0); }) == "1 index for a tensor of 2 dimensions");
    CHECK(at([&] { (void)x(0, 0, 0); }) == "3 indices for a tensor of 2 dimensions");
    CHECK(at([&] { (void)x(1, 1); }).empty());
    const auto gaps = call.template tensor<float>(1);
    CHECK(at([&] { (void)gaps[0]; }).find("gaps") != std::string::npos);
    CHECK(at([&] { (void)gaps(1, 0); }).empty());
    x[4] = 1;
  });
  auto big = sim.node().tensor<float>({4, 4});
  const auto error = error_of([&] {
    sim.node().run([&](Orchestrator& node) {
      node.submit("look", inout(big.rows(0, 1).reshape({2, 2})), in(big.view({0, 1}, {2, 2})));
    });
  });
  REQUIRE(error);
  CHECK(render(*error).find("element 4 of a tensor with 4") != std::string::npos);
  CHECK(error_of([&] { (void)big.host<const float>(); }));  // a writer that failed leaves nothing
}
