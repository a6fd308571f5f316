#include "program/bytes.hpp"
#include "program/hone_file.hpp"

namespace hone {
namespace {

void write_tensor(ByteWriter& w, const ProgramTensor& t, const std::vector<uint32_t>& numbers) {
  w.u8(static_cast<uint8_t>(t.type));
  w.u8(static_cast<uint8_t>(t.layout));
  w.u8(static_cast<uint8_t>(t.place));
  w.u8(t.quantization != nullptr);
  w.u32(t.place == Place::constant ? numbers[t.index] : t.index);
  w.u64(t.offset);
  w.u64(t.bytes);
  w.u32(t.root);
  w.numbers(t.shape);
  w.text(t.packed);
  if (t.quantization) {
    w.numbers(t.quantization->scales);
    w.numbers(t.quantization->zero_points);
    w.u64(static_cast<uint64_t>(t.quantization->axis));
  }
}

ProgramTensor read_tensor(ByteReader& r) {
  ProgramTensor t;
  t.type = r.enumerated(ElementType::string);
  t.layout = r.enumerated(Layout::channels_last);
  t.place = r.enumerated(Place::nowhere);
  const bool quantized = r.u8() != 0;
  t.index = r.u32();
  t.offset = r.u64();
  t.bytes = r.u64();
  t.root = r.u32();
  t.shape = r.numbers<int64_t>();
  if (t.shape.size() > 64) r.fail("a rank above 64");
  t.packed = r.text();
  if (quantized) {
    auto q = std::make_shared<Quantization>();
    q->scales = r.numbers<float>();
    q->zero_points = r.numbers<int32_t>();
    q->axis = static_cast<int64_t>(r.u64());
    t.quantization = std::move(q);
  }
  return t;
}

void write_step(ByteWriter& w, const ProgramStep& s) {
  w.text(s.op);
  w.text(s.name);
  w.text(s.kernel);
  w.blob(s.attributes);
  w.numbers(s.inputs);
  w.numbers(s.outputs);
  w.u32(s.num_op_inputs);
  w.u8(s.bf16_compute);
  w.u32(static_cast<uint32_t>(s.epilogue.operands.size()));
  for (const EpilogueOperand& o : s.epilogue.operands) {
    w.u32(o.input);
    w.u8(static_cast<uint8_t>(o.spread));
  }
  w.u32(static_cast<uint32_t>(s.epilogue.steps.size()));
  for (const EpilogueStep& e : s.epilogue.steps) {
    w.u8(static_cast<uint8_t>(e.op));
    w.u32(static_cast<uint32_t>(e.a));
    w.u32(static_cast<uint32_t>(e.b));
    w.f32(e.alpha);
    w.f32(e.beta);
  }
  w.u32(static_cast<uint32_t>(s.in_place.size()));
  for (const auto& [o, i] : s.in_place) {
    w.u32(o);
    w.u32(i);
  }
}

int16_t value_number(ByteReader& r) {
  const auto v = static_cast<int32_t>(r.u32());
  if (v < -1 || v > 32767) r.fail("an epilogue value out of range");
  return static_cast<int16_t>(v);
}

ProgramStep read_step(ByteReader& r) {
  ProgramStep s;
  s.op = r.text();
  s.name = r.text();
  s.kernel = r.text();
  const auto a = r.blob();
  s.attributes.assign(a.begin(), a.end());
  s.inputs = r.numbers<uint32_t>();
  s.outputs = r.numbers<uint32_t>();
  s.num_op_inputs = r.u32();
  s.bf16_compute = r.u8() != 0;
  s.epilogue.operands.resize(r.count(5));
  for (EpilogueOperand& o : s.epilogue.operands) {
    o.input = r.u32();
    o.spread = r.enumerated(Spread::per_row);
  }
  s.epilogue.steps.resize(r.count(17));
  for (EpilogueStep& e : s.epilogue.steps) {
    e.op = r.enumerated(EpilogueOp::round);
    e.a = value_number(r);
    e.b = value_number(r);
    e.alpha = r.f32();
    e.beta = r.f32();
  }
  s.in_place.resize(r.count(8));
  for (auto& [o, i] : s.in_place) {
    o = r.u32();
    i = r.u32();
  }
  return s;
}

void write_ports(ByteWriter& w, const std::vector<ProgramPort>& ports) {
  w.u32(static_cast<uint32_t>(ports.size()));
  for (const ProgramPort& p : ports) {
    w.text(p.name);
    w.u32(static_cast<uint32_t>(p.names.size()));
    for (const std::string& n : p.names) w.text(n);
    w.u32(p.tensor);
  }
}

std::vector<ProgramPort> read_ports(ByteReader& r) {
  std::vector<ProgramPort> ports(r.count(12));
  for (ProgramPort& p : ports) {
    p.name = r.text();
    p.names.resize(r.count(4));
    for (std::string& n : p.names) n = r.text();
    p.tensor = r.u32();
  }
  return ports;
}

}  // namespace

std::vector<uint8_t> program_bytes(const Program& p, const std::vector<uint32_t>& numbers) {
  ByteWriter w;
  w.text(p.target);
  w.u64(p.arena_bytes);
  w.u32(static_cast<uint32_t>(p.info.size()));
  for (const auto& [k, v] : p.info) {
    w.text(k);
    w.text(v);
  }
  w.u32(static_cast<uint32_t>(p.tensors.size()));
  for (const ProgramTensor& t : p.tensors) write_tensor(w, t, numbers);
  w.u32(static_cast<uint32_t>(p.steps.size()));
  for (const ProgramStep& s : p.steps) write_step(w, s);
  write_ports(w, p.inputs);
  write_ports(w, p.outputs);
  w.u32(static_cast<uint32_t>(p.states.size()));
  for (const ProgramState& s : p.states) {
    w.text(s.name);
    w.u32(s.tensor);
    w.u32(s.next);
    w.u32(s.initial);
    w.u8(s.trainable);
  }
  return w.take();
}

Program program_from_bytes(std::span<const uint8_t> bytes, const std::vector<Tensor>& constants) {
  ByteReader r(bytes, "program");
  Program p;
  p.target = r.text();
  p.arena_bytes = r.u64();
  for (uint32_t n = r.count(8); n > 0; --n) {
    std::string k = r.text();
    p.info[std::move(k)] = r.text();
  }
  // The numbers in the file are those of all constants of the file; the program keeps the ones that it uses.
  std::map<uint32_t, uint32_t> own;
  p.tensors.resize(r.count(30));
  for (ProgramTensor& t : p.tensors) {
    t = read_tensor(r);
    if (t.place != Place::constant) continue;
    if (t.index >= constants.size()) r.fail("a constant is missing");
    const auto [it, fresh] = own.emplace(t.index, static_cast<uint32_t>(p.constants.size()));
    if (fresh) p.constants.push_back(constants[t.index]);
    t.index = it->second;
  }
  p.steps.resize(r.count(30));
  for (ProgramStep& s : p.steps) s = read_step(r);
  p.inputs = read_ports(r);
  p.outputs = read_ports(r);
  p.states.resize(r.count(17));
  for (ProgramState& s : p.states) {
    s.name = r.text();
    s.tensor = r.u32();
    s.next = r.u32();
    s.initial = r.u32();
    s.trainable = r.u8() != 0;
  }
  r.finish();
  verify(p);
  return p;
}

}  // namespace hone
