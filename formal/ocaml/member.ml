(* One gzip member and nothing after it (RFC 1952), or a text that is not gzip; zlib does the inflating. *)

let max_bytes = 1 lsl 28
let bad () = Refusal.malformed "bad-gzip" ""
let is_gzip data = String.length data >= 2 && String.sub data 0 2 = "\x1f\x8b"

(* Where the compressed data begin. *)
let after_header data =
  let length = String.length data in
  let byte i = if i < length then Char.code data.[i] else bad () in
  let flags = byte 3 in
  if byte 2 <> 8 || flags land 0xe0 <> 0 then bad ();
  let rec after_zero i = if byte i = 0 then i + 1 else after_zero (i + 1) in
  let i = 10 in
  let i = if flags land 4 <> 0 then i + 2 + byte i + (256 * byte (i + 1)) else i in
  let i = if flags land 8 <> 0 then after_zero i else i in
  let i = if flags land 16 <> 0 then after_zero i else i in
  if flags land 2 = 0 then i
  else begin
    if i > length then bad ();
    let crc = Int32.to_int (Zlib.update_crc_string 0l data 0 i) land 0xffff in
    if byte i + (256 * byte (i + 1)) <> crc then bad ();
    i + 2
  end

let content data =
  if not (is_gzip data) then data
  else begin
    let length = String.length data in
    let start = after_header data in
    if start > length then bad ();
    let stream = Zlib.inflate_init false in
    let found = Buffer.create (4 * length) and chunk = Bytes.create 65536 in
    let rec inflate crc at =
      let ended, read, written = Zlib.inflate_string stream data at (length - at) chunk 0 (Bytes.length chunk) Zlib.Z_SYNC_FLUSH in
      Buffer.add_subbytes found chunk 0 written;
      let crc = Zlib.update_crc crc chunk 0 written in
      if Buffer.length found > max_bytes then Refusal.malformed "too-large" "";
      if ended then (crc, at + read) else if read = 0 && written = 0 then bad () else inflate crc (at + read)
    in
    let crc, stop = try inflate 0l start with Zlib.Error _ -> bad () in
    Zlib.inflate_end stream;
    if length <> stop + 8 then bad ();
    if not (Int32.equal (String.get_int32_le data stop) crc) then bad ();
    if not (Int32.equal (String.get_int32_le data (stop + 4)) (Int32.of_int (Buffer.length found))) then bad ();
    Buffer.contents found
  end
