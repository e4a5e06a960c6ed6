#include "meeting/message.hpp"

#include <algorithm>
#include <cstring>

#include "troupe/comm/errc.hpp"

namespace troupe::comm {

namespace {

constexpr std::uint64_t message_magic = 0x544d'4550'554f'5254;  // "TROUPEMT"
constexpr std::uint32_t message_version = 2;

struct Frame {
  std::uint64_t magic;
  std::uint32_t version, kind, rank, ranks;
  std::uint64_t bytes, domain_high, domain_low, generation;
  std::int32_t code;
  std::uint32_t payload_bytes;
};
static_assert(sizeof(Frame) == 64);

Error bad_message(const std::string& why) {
  return Error(Errc::bad_blob, "not a message of a meeting: " + why);
}

bool carries_text(Message::Kind kind) {
  return kind == Message::Kind::failed || kind == Message::Kind::leave;
}

std::size_t blob_count(const Message& message) {
  if (message.kind == Message::Kind::offer) return 1;
  return message.kind == Message::Kind::roster ? message.ranks : 0;
}

}  // namespace

std::vector<std::byte> encode(const Message& message) {
  const std::size_t text_bytes = std::min(message.text.size(), max_message_text);
  const std::size_t payload = message.blobs.size() * window_blob_bytes + text_bytes;
  const Frame frame{.magic = message_magic,
                    .version = message_version,
                    .kind = static_cast<std::uint32_t>(message.kind),
                    .rank = message.rank,
                    .ranks = message.ranks,
                    .bytes = message.bytes,
                    .domain_high = message.domain.high,
                    .domain_low = message.domain.low,
                    .generation = message.generation,
                    .code = message.code,
                    .payload_bytes = static_cast<std::uint32_t>(payload)};
  std::vector<std::byte> packet(sizeof frame + payload);
  std::memcpy(packet.data(), &frame, sizeof frame);
  std::byte* out = packet.data() + sizeof frame;
  for (const WindowBlob& blob : message.blobs) out = std::copy(blob.begin(), blob.end(), out);
  if (text_bytes != 0) std::memcpy(out, message.text.data(), text_bytes);
  return packet;
}

Result<Message> decode_message(std::span<const std::byte> packet) {
  Frame frame{};
  if (packet.size() < sizeof frame) return bad_message(std::to_string(packet.size()) + " bytes");
  std::memcpy(&frame, packet.data(), sizeof frame);
  if (frame.magic != message_magic) return bad_message("wrong magic");
  if (frame.version != message_version)
    return bad_message("version " + std::to_string(frame.version) + ", this is version " +
                       std::to_string(message_version));
  if (frame.kind < 1 || frame.kind > static_cast<std::uint32_t>(Message::Kind::leave))
    return bad_message("kind " + std::to_string(frame.kind));
  if (frame.ranks == 0 || frame.ranks > max_ranks || frame.rank >= frame.ranks)
    return bad_message("rank " + std::to_string(frame.rank) + " of " + std::to_string(frame.ranks));
  const std::span<const std::byte> payload = packet.subspan(sizeof frame);
  if (frame.payload_bytes != payload.size()) return bad_message("its length is not what it says");
  Message message{.kind = static_cast<Message::Kind>(frame.kind),
                  .rank = frame.rank,
                  .ranks = frame.ranks,
                  .bytes = frame.bytes,
                  .domain = {frame.domain_high, frame.domain_low},
                  .generation = frame.generation,
                  .code = frame.code,
                  .text = {},
                  .blobs = {}};
  if (carries_text(message.kind)) {
    if (payload.size() > max_message_text)
      return bad_message("a text of " + std::to_string(payload.size()) + " bytes");
    message.text.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
    return message;
  }
  const std::size_t count = blob_count(message);
  if (payload.size() != count * window_blob_bytes) return bad_message("its blobs are not whole");
  message.blobs.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    std::memcpy(message.blobs[i].data(), payload.data() + i * window_blob_bytes, window_blob_bytes);
  return message;
}

Error to_error(const Message& message) {
  const auto code = static_cast<Errc>(message.code);
  return Error(error_name(code) == "unknown" ? Errc::system : code, message.text);
}

}  // namespace troupe::comm
