// A message of a meeting from any bytes: what decodes encodes to the same bytes, and a hub that is told it
// stays whole.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "meeting/hub.hpp"

namespace {

struct Deaf final : troupe::comm::Link {
  void send(const troupe::comm::Message&, std::span<const int>) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::comm;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto message = decode_message(bytes);
  if (!message) return 0;
  const auto again = encode(*message);
  if (again.size() != size || std::memcmp(again.data(), data, size) != 0) std::abort();
  Deaf link;
  MeetingHub hub({0, 2, 64}, {1, 2}, 1);
  Message hello;
  hello.rank = 1;
  hello.ranks = 2;
  hello.bytes = 64;
  hub.received(1, link, hello, {});
  hub.received(2, link, *message, {});  // from a newcomer
  hub.received(1, link, *message, {});  // from one who sits
  hub.closed(1);
  hub.give_up(Errc::deadline);
  if (!hub.ended()) std::abort();
  return 0;
}
