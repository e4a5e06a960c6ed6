#include <atomic>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "platform/conformance/rules.hpp"

// The optional part of the ABI that moves bytes between memories.
namespace troupe::conformance {

namespace {

using Bytes = std::vector<std::uint8_t>;

void have_moves(const Probe& probe) {
  require(probe.api().run_move != nullptr, "the library promises moves, and lacks run_move");
}

Bytes pattern(std::size_t bytes, unsigned first) {
  Bytes made(bytes);
  std::iota(made.begin(), made.end(), static_cast<std::uint8_t>(first));
  return made;
}

/// A box of bytes, with the steps that it has somewhere.
struct Layout {
  std::vector<std::uint64_t> strides;
  std::uint64_t first = 0;  ///< byte of the memory
};
struct Shape {
  std::uint64_t run = 1;
  std::vector<std::uint32_t> extents;
};

/// What the box of a memory is of another one, one byte after the other.
void move_in_words(const Shape& shape, const Layout& from, const Bytes& source, const Layout& to,
                   Bytes& target) {
  std::vector<std::uint32_t> at(shape.extents.size());
  for (;;) {
    auto out = from.first, in = to.first;
    for (std::size_t d = 0; d < at.size(); ++d) {
      out += at[d] * from.strides[d];
      in += at[d] * to.strides[d];
    }
    for (std::uint64_t i = 0; i < shape.run; ++i) target.at(in + i) = source.at(out + i);
    auto d = at.size();
    while (d > 0 && ++at[d - 1] == shape.extents[d - 1]) at[--d] = 0;
    if (d == 0) return;
  }
}

troupe_move_side side(troupe_device_context* context, std::uint64_t base, const Layout& layout) {
  troupe_move_side made{context, base + layout.first, {}};
  std::copy(layout.strides.begin(), layout.strides.end(), made.strides);
  return made;
}
troupe_move move_of(const Shape& shape, const troupe_move_side& from, const troupe_move_side& to) {
  troupe_move move{};
  move.from = from;
  move.to = to;
  move.run_bytes = shape.run;
  move.ndims = static_cast<std::uint32_t>(shape.extents.size());
  std::copy(shape.extents.begin(), shape.extents.end(), move.extents);
  return move;
}
/// So many bytes without gaps.
troupe_move flat(troupe_device_context* from, std::uint64_t source, troupe_device_context* to,
                 std::uint64_t target, std::uint64_t bytes) {
  return move_of({bytes, {}}, {from, source, {}}, {to, target, {}});
}
std::uint64_t address_of(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory); }

void must(Subject& s, const troupe_move& move, const char* what) {
  s.expect(0, std::string("run_move ") + what, s.api().run_move, &move);
}
void put(Subject& s, std::uint64_t address, const Bytes& bytes) {
  s.expect(0, "copy_to_device_ctx", s.api().copy_to_device_ctx, address,
           static_cast<const void*>(bytes.data()), std::uint64_t{bytes.size()});
}
Bytes get(Subject& s, std::uint64_t address, std::size_t size) {
  Bytes bytes(size);
  s.expect(0, "copy_from_device_ctx", s.api().copy_from_device_ctx, static_cast<void*>(bytes.data()), address,
           std::uint64_t{size});
  return bytes;
}

/// Boxes of 0 to 5 dimensions: with gaps, without, transposed, and of rows that follow each other.
struct Case {
  const char* name;
  Shape shape;
  Layout from, to;
};
const Case cases[] = {
    {"of one run", {100, {}}, {{}, 3}, {{}, 17}},
    {"of rows", {8, {5}}, {{16}, 1}, {{11}, 2}},
    {"of a row after the other", {8, {4, 5}}, {{40, 8}, 0}, {{40, 8}, 16}},
    {"of a tile that is packed", {4, {3, 6}}, {{64, 8}, 5}, {{24, 4}, 0}},
    {"of a transposed tile", {2, {5, 7}}, {{2, 10}, 4}, {{14, 2}, 9}},
    {"of three dimensions", {3, {2, 3, 4}}, {{100, 20, 5}, 7}, {{36, 12, 3}, 1}},
    {"of four dimensions", {1, {2, 2, 3, 3}}, {{120, 40, 10, 3}, 0}, {{18, 9, 3, 1}, 30}},
    {"of five dimensions", {2, {2, 2, 2, 3, 2}}, {{200, 90, 40, 12, 5}, 2}, {{96, 48, 24, 8, 4}, 3}},
    {"of one element along a dimension", {4, {1, 3}}, {{999, 8}, 0}, {{77, 4}, 40}},
};
constexpr std::size_t room = 512;

void boxes(Probe& probe) {
  have_moves(probe);
  const auto subject = probe.ready();
  auto& s = *subject;
  const auto source = s.malloc(room), target = s.malloc(room);
  for (const auto& one : cases) {
    for (const bool from_host : {false, true}) {
      for (const bool to_host : {false, true}) {
        if (from_host && to_host) continue;
        const auto bytes = pattern(room, 1);
        auto expected = pattern(room, 99), seen = expected;
        put(s, source, bytes);
        put(s, target, expected);
        move_in_words(one.shape, one.from, bytes, one.to, expected);
        must(s,
             move_of(
                 one.shape,
                 from_host ? side(nullptr, address_of(bytes.data()), one.from)
                           : side(s.handle(), source, one.from),
                 to_host ? side(nullptr, address_of(seen.data()), one.to) : side(s.handle(), target, one.to)),
             one.name);
        if (!to_host) seen = get(s, target, room);
        require(seen == expected, std::string("a move ") + one.name + (from_host ? " from the host" : "") +
                                      (to_host ? " to the host" : "") + " has moved other bytes");
        require(get(s, source, room) == bytes, "a move has changed what it moved");
      }
    }
  }
}

void between(Probe& probe) {
  have_moves(probe);
  const auto one = probe.ready(), two = probe.ready();
  const auto here = one->malloc(room), there = two->malloc(room);
  for (const auto& each : cases) {
    for (const bool pulls : {false, true}) {
      const auto bytes = pattern(room, 7);
      auto expected = pattern(room, 200);
      put(*one, here, bytes);
      put(*two, there, expected);
      move_in_words(each.shape, each.from, bytes, each.to, expected);
      must(pulls ? *two : *one,
           move_of(each.shape, side(one->handle(), here, each.from), side(two->handle(), there, each.to)),
           each.name);
      require(get(*two, there, room) == expected,
              std::string("a move ") + each.name + " from one context to another has moved other bytes");
    }
  }
  // What it took stays when the other one has gone.
  const auto bytes = pattern(room, 50);
  put(*one, here, bytes);
  must(*two, flat(one->handle(), here, two->handle(), there, room), "from a context that ends afterwards");
  require(one->destroy() == 0, "a context whose memory was moved cannot be destroyed");
  require(get(*two, there, room) == bytes, "what was moved went with the context that it came from");
}

void checked(Probe& probe) {
  have_moves(probe);
  constexpr auto huge = std::numeric_limits<std::uint64_t>::max();
  const auto subject = probe.ready(), another = probe.ready();
  auto& s = *subject;
  const auto mine = s.malloc(256), other = another->malloc(256);
  put(s, mine, pattern(256, 3));
  put(*another, other, pattern(256, 90));
  const auto refused = [&](std::int32_t code, const char* what, const troupe_move& move) {
    s.expect(code, std::string("run_move ") + what, s.api().run_move, &move);
  };
  const auto good = flat(s.handle(), mine, another->handle(), other, 256);
  const auto changed = [&](auto change) {
    auto move = good;
    change(move);
    return move;
  };
  constexpr std::int32_t range = TROUPE_DEVICE_OUT_OF_RANGE, invalid = TROUPE_DEVICE_INVALID_ARGUMENT,
                         address = TROUPE_DEVICE_BAD_ADDRESS;
  s.expect(invalid, "run_move of nothing", s.api().run_move, static_cast<const troupe_move*>(nullptr));
  refused(range, "beyond the end of the source", changed([](auto& m) { ++m.from.address; }));
  refused(range, "beyond the end of the target", changed([](auto& m) { ++m.to.address; }));
  refused(range, "of more bytes than there are", changed([](auto& m) { m.run_bytes = huge; }));
  const auto rows = changed([](auto& m) {
    m.run_bytes = 16, m.ndims = 1, m.extents[0] = 16, m.from.strides[0] = m.to.strides[0] = 16;
  });
  must(s, rows, "of rows that just fit");
  refused(range, "whose last row is beyond the end", [&] {
    auto move = rows;
    move.from.strides[0] = 17;
    return move;
  }());
  refused(range, "whose steps are larger than any memory", [&] {
    auto move = rows;
    move.to.strides[0] = huge / 2;
    return move;
  }());
  refused(invalid, "of six dimensions", changed([](auto& m) { m.ndims = 6; }));
  refused(invalid, "with an unknown flag", changed([](auto& m) { m.flags = 1U << 31U; }));
  refused(invalid, "between two others", changed([&](auto& m) { m.from.context = another->handle(); }));
  refused(invalid, "between host memories",
          changed([](auto& m) { m.from.context = m.to.context = nullptr; }));
  refused(invalid, "from host memory at no address",
          changed([](auto& m) { m.from.context = nullptr, m.from.address = 0; }));
  refused(address, "from address 1", changed([](auto& m) { m.from.address = 1; }));
  refused(address, "with the address of one context in another",
          changed([&](auto& m) { m.to.address = mine, m.from.address = mine; }));
  must(s, changed([](auto& m) { m.run_bytes = 0, m.from.address = m.to.address = 1; }), "of 0 bytes");
  require(get(*another, other, 256) == pattern(256, 3), "a move that was refused has moved something");
  s.expect(0, "device_free_ctx", s.api().device_free_ctx, mine);
  refused(address, "from memory that was freed", good);
}

void lives(Probe& probe) {
  have_moves(probe);
  const auto subject = probe.ready(), another = probe.ready();
  auto& s = *subject;
  const auto mine = s.malloc(64);
  auto other = another->malloc(64);
  const auto refused = [&](std::int32_t code, const char* what) {
    const auto there = flat(s.handle(), mine, another->handle(), other, 64);
    const auto back = flat(another->handle(), other, s.handle(), mine, 64);
    s.expect(code, std::string("run_move to ") + what, s.api().run_move, &there);
    s.expect(code, std::string("run_move from ") + what, s.api().run_move, &back);
  };
  another->expect(0, "reset_device", s.api().reset_device);
  refused(TROUPE_DEVICE_INVALID_STATE, "a context that was reset");
  another->set_device();
  other = another->malloc(64);
  put(s, mine, pattern(64, 8));
  must(s, flat(s.handle(), mine, another->handle(), other, 64), "to a context that has a device again");
  require(get(*another, other, 64) == pattern(64, 8), "a move to a context that was reset moved other bytes");
  another->expect(0, "finalize_device", s.api().finalize_device);
  refused(TROUPE_DEVICE_FINALIZED, "a context that was finalized");
}

void beside_runs(Probe& probe) {
  have_moves(probe);
  const auto subject = probe.ready(), another = probe.ready();
  auto& s = *subject;
  const Waiting waiting(s);
  const auto mine = s.malloc(64), other = another->malloc(64);
  s.launch({waiting.run(1)});
  (void)s.wait_busy(1);
  put(s, mine, pattern(64, 21));
  must(s, flat(s.handle(), mine, another->handle(), other, 64), "beside a run");
  must(*another, flat(s.handle(), mine, another->handle(), other, 64), "beside a run of the other context");
  require(get(*another, other, 64) == pattern(64, 21), "a move beside a run moved other bytes");
  require(s.ends().empty(), "a run ended with a move");
  s.expect(0, "abort_runs", s.api().abort_runs, std::uint64_t{1});
  require(s.wait_for(1).front().code == TROUPE_DEVICE_ABORTED, "an aborted run did not end so");
}

/// A context is reset again and again while another thread moves bytes from it and to it.
void while_ending(Probe& probe) {
  have_moves(probe);
  constexpr std::uint64_t bytes = 1U << 20U;
  const auto subject = probe.ready(), another = probe.ready();
  const auto mine = subject->malloc(bytes);
  put(*subject, mine, Bytes(bytes, 5));
  std::atomic<std::uint64_t> other = another->malloc(bytes);
  std::atomic<bool> stops = false;
  std::atomic<std::int32_t> wrong = 0;
  std::thread mover([&] {
    for (bool to = false; !stops; to = !to) {
      const auto move = to ? flat(subject->handle(), mine, another->handle(), other, bytes)
                           : flat(another->handle(), other, subject->handle(), mine, bytes);
      const auto code = probe.api().run_move(subject->handle(), &move);
      if (code != 0 && code != TROUPE_DEVICE_INVALID_STATE && code != TROUPE_DEVICE_ABORTED &&
          code != TROUPE_DEVICE_BAD_ADDRESS && code != TROUPE_DEVICE_OUT_OF_RANGE)
        wrong = code;
    }
  });
  std::string problem;
  try {
    for (int i = 0; i < 30; ++i) {
      const auto code = probe.api().device_free_ctx(another->handle(), other);
      require(code == 0 || code == TROUPE_DEVICE_BUSY,
              "freeing memory that is moved answers " + name_of_code(code));
      another->expect(0, "reset_device", probe.api().reset_device);
      another->set_device();
      other = another->malloc(bytes);
    }
  } catch (const Violation& violation) {
    problem = violation.what;
  }
  stops = true;
  mover.join();
  require(problem.empty(), problem);
  require(wrong == 0, "a move beside a reset answers " + name_of_code(wrong));
}

}  // namespace

std::vector<Rule> move_rules() {
  constexpr auto moves = std::uint32_t{TROUPE_FEATURE_MOVES};
  return {
      {"moves",
       "boxes of up to five dimensions go to and from the host and within a device, as they are told", boxes,
       moves},
      {"moves-between-contexts", "the same from one context to another; what has been moved stays", between,
       moves},
      {"moves-checked", "moves stay inside of what both sides name, whatever their steps", checked, moves},
      {"moves-lives", "a move to or from a context without a device is refused, and moves nothing", lives,
       moves},
      {"moves-beside-runs", "moves do not wait for runs, and no run ends with them", beside_runs, moves},
      {"moves-while-ending", "a context may be reset at any moment of a move to it or from it", while_ending,
       moves},
  };
}

}  // namespace troupe::conformance
