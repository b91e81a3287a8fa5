(* Strict JSON: CERTIFICATE.md, section 3. Integers only, no key twice, whole characters. *)

type t =
  | Null
  | Bool of bool
  | Int of Z.t
  | String of string
  | List of t list
  | Object of (string * t) list

let max_digits = 4000
let max_depth = 100

let not_json () = Refusal.malformed "not-json" ""

(* Well-formed UTF-8: no overlong form, no surrogate, nothing above U+10FFFF. *)
let require_utf8 text =
  let n = String.length text in
  let byte i = if i < n then Char.code text.[i] else 0 in
  let continues i = byte i land 0xC0 = 0x80 in
  let rec from i =
    if i < n then begin
      let first = byte i and second = byte (i + 1) in
      let length =
        if first < 0x80 then 1
        else if first >= 0xC2 && first <= 0xDF then 2
        else if first >= 0xE0 && first <= 0xEF && not (first = 0xE0 && second < 0xA0) && not (first = 0xED && second > 0x9F) then 3
        else if first >= 0xF0 && first <= 0xF4 && not (first = 0xF0 && second < 0x90) && not (first = 0xF4 && second > 0x8F) then 4
        else not_json ()
      in
      for j = 1 to length - 1 do if not (continues (i + j)) then not_json () done;
      from (i + length)
    end
  in
  from 0

let parse text =
  require_utf8 text;
  let n = String.length text in
  let at = ref 0 in
  let peek () = if !at < n then text.[!at] else '\000' in
  let skip () = while !at < n && (match text.[!at] with ' ' | '\t' | '\n' | '\r' -> true | _ -> false) do incr at done in
  let expect c = if !at < n && text.[!at] = c then incr at else not_json () in
  let word w value =
    let length = String.length w in
    if !at + length <= n && String.sub text !at length = w then (at := !at + length; value) else not_json ()
  in
  let hex4 () =
    if !at + 4 > n then not_json ();
    let digit c =
      match c with
      | '0' .. '9' -> Char.code c - 48
      | 'a' .. 'f' -> Char.code c - 87
      | 'A' .. 'F' -> Char.code c - 55
      | _ -> not_json ()
    in
    let value = ref 0 in
    for i = 0 to 3 do value := (!value * 16) + digit text.[!at + i] done;
    at := !at + 4;
    !value
  in
  let lone () = Refusal.malformed "lone-surrogate" "" in
  let escape buffer =
    let c = peek () in
    incr at;
    match c with
    | '"' | '\\' | '/' -> Buffer.add_char buffer c
    | 'b' -> Buffer.add_char buffer '\b'
    | 'f' -> Buffer.add_char buffer '\012'
    | 'n' -> Buffer.add_char buffer '\n'
    | 'r' -> Buffer.add_char buffer '\r'
    | 't' -> Buffer.add_char buffer '\t'
    | 'u' ->
        let unit = hex4 () in
        let code =
          if unit < 0xD800 || unit > 0xDFFF then unit
          else if unit > 0xDBFF || !at + 2 > n || String.sub text !at 2 <> "\\u" then lone ()
          else begin
            at := !at + 2;
            let low = hex4 () in
            if low < 0xDC00 || low > 0xDFFF then lone ();
            0x10000 + ((unit - 0xD800) lsl 10) + (low - 0xDC00)
          end
        in
        Buffer.add_utf_8_uchar buffer (Uchar.of_int code)
    | _ -> not_json ()
  in
  let string () =
    expect '"';
    let buffer = Buffer.create 16 in
    let rec go () =
      if !at >= n then not_json ();
      match text.[!at] with
      | '"' -> incr at
      | '\\' -> incr at; escape buffer; go ()
      | c when c < ' ' -> not_json ()
      | c -> Buffer.add_char buffer c; incr at; go ()
    in
    go ();
    Buffer.contents buffer
  in
  let number () =
    let start = !at in
    if peek () = '-' then incr at;
    let digits = ref 0 in
    if peek () = '0' then (incr at; incr digits)
    else while !at < n && text.[!at] >= '0' && text.[!at] <= '9' do incr at; incr digits done;
    if !digits = 0 then not_json ();
    (match peek () with '.' | 'e' | 'E' -> Refusal.malformed "not-an-integer" "" | _ -> ());
    let written = String.sub text start (!at - start) in
    if String.length written > max_digits || written = "-0" then Refusal.malformed "bad-number" "";
    Int (Z.of_string written)
  in
  let rec value depth =
    if depth > max_depth then not_json ();
    skip ();
    if !at >= n then not_json ();
    match text.[!at] with
    | '{' ->
        incr at; skip ();
        let fields = if peek () = '}' then (incr at; []) else members depth [] in
        let keys = List.sort compare (List.map fst fields) in
        let rec twice = function a :: (b :: _ as rest) -> a = b || twice rest | _ -> false in
        if twice keys then Refusal.malformed "duplicate-key" "";
        Object fields
    | '[' ->
        incr at; skip ();
        if peek () = ']' then (incr at; List []) else elements depth []
    | '"' -> String (string ())
    | 't' -> word "true" (Bool true)
    | 'f' -> word "false" (Bool false)
    | 'n' -> word "null" Null
    | 'N' -> ignore (word "NaN" ()); Refusal.malformed "not-an-integer" ""
    | 'I' -> ignore (word "Infinity" ()); Refusal.malformed "not-an-integer" ""
    | '-' when !at + 1 < n && text.[!at + 1] = 'I' -> ignore (word "-Infinity" ()); Refusal.malformed "not-an-integer" ""
    | '-' | '0' .. '9' -> number ()
    | _ -> not_json ()
  and members depth found =
    skip ();
    let key = string () in
    skip (); expect ':';
    let found = (key, value (depth + 1)) :: found in
    skip ();
    if peek () = ',' && !at < n then (incr at; members depth found) else (expect '}'; List.rev found)
  and elements depth found =
    let found = value (depth + 1) :: found in
    skip ();
    if peek () = ',' && !at < n then (incr at; elements depth found) else (expect ']'; List (List.rev found))
  in
  let result = value 0 in
  skip ();
  if !at < n then not_json ();
  result

(* Typed values; what is of another type is malformed. *)

let mapping path = function Object fields -> fields | _ -> Refusal.malformed "wrong-type" path

let record ?(optional = []) path names value =
  let fields = mapping path value in
  if List.exists (fun name -> not (List.mem_assoc name fields)) names then Refusal.malformed "missing-field" path;
  if List.exists (fun (key, _) -> not (List.mem key names || List.mem key optional)) fields then
    Refusal.malformed "unknown-field" path;
  fun name -> List.assoc name fields

(* The value of a field that may be left out. *)
let optional name = function Object fields -> List.assoc_opt name fields | _ -> None

let array path item = function
  | List items -> List.mapi (fun i x -> item (Printf.sprintf "%s[%d]" path i) x) items
  | _ -> Refusal.malformed "wrong-type" path

let integer path = function Int n -> n | _ -> Refusal.malformed "wrong-type" path
let text path = function String s -> s | _ -> Refusal.malformed "wrong-type" path

let bounded low high path value =
  let n = integer path value in
  if Z.lt n low || Z.gt n high then Refusal.malformed "out-of-range" path else n

let constant ?(code = "unsupported") path expected value = if value <> expected then Refusal.malformed code path

let choice path names value =
  let name = text path value in
  if List.mem name names then name else Refusal.malformed "unsupported" path

(* "p" or "p/q" in lowest terms, with a minus only if it is negative and may be. *)
let fraction ?(signed = false) path value =
  let bad () = Refusal.malformed "bad-fraction" path in
  let digits ~zero s =
    let n = String.length s in
    n >= 1 && n <= 1000 && String.for_all (fun c -> c >= '0' && c <= '9') s && (s.[0] <> '0' || (zero && s = "0"))
  in
  let above, below =
    match String.split_on_char '/' (text path value) with
    | [ a ] -> (a, None)
    | [ a; b ] -> (a, Some b)
    | _ -> bad ()
  in
  let negative = signed && String.length above > 0 && above.[0] = '-' in
  let size = if negative then String.sub above 1 (String.length above - 1) else above in
  if not (digits ~zero:(not negative) size) then bad ();
  match below with
  | None -> (Z.of_string above, Z.one)
  | Some b ->
      if (not (digits ~zero:false b)) || b = "1" then bad ();
      let p, q = (Z.of_string above, Z.of_string b) in
      if Z.equal (Z.gcd p q) Z.one then (p, q) else bad ()

(* Sorted keys, ASCII. Texts of the formats that are written so have no character that would be escaped. *)
let rec written ~colon ~comma value =
  let inside = written ~colon ~comma in
  let quoted s = "\"" ^ s ^ "\"" in
  match value with
  | Null -> "null"
  | Bool b -> string_of_bool b
  | Int n -> Z.to_string n
  | String s -> quoted s
  | List items -> "[" ^ String.concat comma (List.map inside items) ^ "]"
  | Object fields ->
      let pair (key, value) = quoted key ^ colon ^ inside value in
      "{" ^ String.concat comma (List.map pair (List.sort (fun (a, _) (b, _) -> compare a b) fields)) ^ "}"

let canonical = written ~colon:":" ~comma:","
