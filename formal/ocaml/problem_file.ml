(* A problem: CERTIFICATE.md, section 3. Decoded, compared with the model, written in its normal form, and made what the
   theorem is about. *)

open Refusal

type tokens = Range of int * int | Listed of Z.t list
type position = { tokens : tokens; weights : Z.t list option }
type label = { name : string; args : (string * Json.t) list; reads : Z.t list option }
type stated = Max_of_k of Z.t | File of { positions : position list; label : label; readout : Z.t option }

let max_tokens = 1 lsl 22
let max_weights = 1 lsl 24
let power_64 = Z.shift_left Z.one 64
let natural = Json.bounded Z.zero power_64
let positive = Json.bounded Z.one power_64

(* "a-b" with at most nine digits each. *)
let range path text =
  let number s =
    let n = String.length s in
    if n >= 1 && n <= 9 && String.for_all (fun c -> c >= '0' && c <= '9') s && (s = "0" || s.[0] <> '0') then Some (int_of_string s) else None
  in
  match List.map number (String.split_on_char '-' text) with
  | [ Some a; Some b ] when a <= b -> Range (a, b)
  | _ -> malformed "bad-range" path

let how_many = function Range (a, b) -> b - a + 1 | Listed l -> List.length l

let position path value =
  let field = Json.record ~optional:[ "weights" ] path [ "tokens" ] value in
  let tokens =
    match field "tokens" with
    | Json.String text -> range (path ^ ".tokens") text
    | listed -> Listed (Json.array (path ^ ".tokens") Json.integer listed)
  in
  let weights = Option.map (Json.array (path ^ ".weights") Json.integer) (Json.optional "weights" value) in
  { tokens; weights }

(* Name -> its parameters. *)
let named =
  let rows path = Json.array path (fun path -> Json.array path Json.integer) in
  let checked decode path value = ignore (decode path value) in
  [ ("max", []); ("min", []); ("argmax", []); ("first", []); ("last", []); ("majority", []);
    ("nth-largest", [ ("n", checked positive) ]); ("sum-mod", [ ("modulus", checked positive) ]); ("contains", [ ("token", checked natural) ]);
    ("automaton", [ ("states", checked positive); ("start", checked natural); ("next", checked rows); ("output", checked (fun path -> Json.array path Json.integer)) ]) ]

let label path value =
  let fields = Json.mapping path value in
  let name = Json.text (path ^ ".name") (Option.value (List.assoc_opt "name" fields) ~default:Json.Null) in
  match List.assoc_opt name named with
  | None -> malformed "unsupported" (path ^ ".name")
  | Some decoders ->
      let field = Json.record ~optional:[ "of" ] path ("name" :: List.map fst decoders) value in
      List.iter (fun (key, decode) -> decode (path ^ "." ^ key) (field key)) decoders;
      let reads = Option.map (Json.array (path ^ ".of") Json.integer) (Json.optional "of" value) in
      { name; args = List.map (fun (key, _) -> (key, field key)) decoders; reads }

let decode path value =
  let at = if path = "" then "" else path ^ "." in
  match value with
  | Json.Object fields when List.mem_assoc "name" fields ->
      let field = Json.record path [ "name"; "k" ] value in
      Json.constant (at ^ "name") (Json.String "max-of-k") (field "name");
      Max_of_k (Json.integer (at ^ "k") (field "k"))
  | _ ->
      let field = Json.record ~optional:[ "readout" ] path [ "inputs"; "label" ] value in
      let positions = Json.array (at ^ "inputs") position (field "inputs") in
      if List.fold_left (fun n p -> n + how_many p.tokens) 0 positions > max_tokens then malformed "too-large" (at ^ "inputs");
      let label = label (at ^ "label") (field "label") in
      File { positions; label; readout = Option.map (Json.integer (at ^ "readout")) (Json.optional "readout" value) }

(* *** Of a model *)

type t = { checked : Checked.problem; total : Z.t; text : string; normal : string; digest : string option }

let wrong path = refuse Rejected "wrong-task" path

let row at v p { tokens; weights } =
  let path name = Printf.sprintf "%sinputs[%d].%s" at p name in
  let count = how_many tokens in
  let inside = match tokens with
    | Range (a, b) -> a >= 0 && b < v
    | Listed l -> l <> [] && List.for_all (fun t -> Z.sign t >= 0 && Z.lt t (Z.of_int v)) l in
  if not inside then wrong (path "tokens");
  let listed = match tokens with Range (a, b) -> List.init (b - a + 1) (fun i -> a + i) | Listed l -> List.map Z.to_int l in
  if List.length (List.sort_uniq compare listed) < count then wrong (path "tokens");
  let weights = Option.value weights ~default:(List.map (fun _ -> Z.one) listed) in
  let fits = List.length weights = count && List.for_all (fun w -> Z.sign w >= 0) weights && List.exists (fun w -> Z.sign w > 0) weights in
  if not fits then wrong (path "weights");
  List.filter (fun (_, w) -> Z.sign w > 0) (List.sort (fun (a, _) (b, _) -> compare a b) (List.combine listed weights))

let automaton at v reads { name; args; _ } =
  let number key = match List.assoc key args with Json.Int n -> n | _ -> assert false in
  let numbers = function Json.List l -> List.map (function Json.Int n -> n | _ -> assert false) l | _ -> assert false in
  match name with
  | "max" -> Checked.Max
  | "min" -> Checked.Min
  | "argmax" -> Checked.Argmax
  | "first" -> Checked.First
  | "last" -> Checked.Last
  | "majority" -> Checked.Majority
  | "sum-mod" -> Checked.Sum_mod (number "modulus")
  | "contains" -> Checked.Contains (number "token")
  | "nth-largest" -> if Z.gt (number "n") (Z.of_int reads) then wrong (at ^ "label.n") else Checked.Nth_largest (Z.to_int (number "n"))
  | _ ->
      let bad path = refuse Rejected "bad-automaton" (at ^ "label" ^ path) in
      let rows = match List.assoc "next" args with Json.List rows -> List.map numbers rows | _ -> assert false in
      let output = numbers (List.assoc "output" args) in
      let states = number "states" and first = number "start" in
      let as_many l = Z.equal (Z.of_int (List.length l)) states in
      if not (Z.lt first states && as_many rows && as_many output && List.for_all (fun row -> List.length row = v) rows) then bad "";
      if not (List.for_all (List.for_all (fun s -> Z.sign s >= 0 && Z.lt s states)) rows) then bad ".next";
      Checked.Table (Z.to_int first, List.map (List.map Z.to_int) rows, output)

let most = Z.pow (Z.of_int 10) Json.max_digits

(* [at] is the path of the problem, with a dot after it. *)
let of_model at ~v ~n_ctx ~outputs stated =
  let positions, label, readout =
    match stated with
    | Max_of_k k ->
        if not (Z.equal k (Z.of_int n_ctx)) || outputs <> v then wrong (at ^ "k");
        (List.init n_ctx (fun _ -> { tokens = Range (0, v - 1); weights = None }), { name = "max"; args = []; reads = None }, None)
    | File { positions; label; readout } -> (positions, label, readout)
  in
  let k = List.length positions in
  if k = 0 || k > n_ctx || k * v > max_weights then wrong (at ^ "inputs");
  let allowed = match stated with
    | Max_of_k _ -> let any = row at v 0 (List.hd positions) in List.map (fun _ -> any) positions
    | File _ -> List.mapi (row at v) positions in
  let times total row =
    let total = Z.mul total (List.fold_left (fun sum (_, w) -> Z.add sum w) Z.zero row) in
    if Z.geq total most then wrong (at ^ "inputs") else total in
  let total = List.fold_left times Z.one allowed in
  let readout = Option.value readout ~default:(Z.of_int (k - 1)) in
  if Z.sign readout < 0 || Z.geq readout (Z.of_int k) then wrong (at ^ "readout");
  let all = List.init k Z.of_int in
  let reads = Option.value label.reads ~default:all in
  let increasing = List.equal Z.equal (List.sort_uniq Z.compare reads) reads in
  if reads = [] || not (increasing && List.for_all (fun p -> Z.sign p >= 0 && Z.lt p (Z.of_int k)) reads) then wrong (at ^ "label.of");
  let answer = automaton at v (List.length reads) label in
  let dense row =
    let weights = Array.make v Z.zero in
    List.iter (fun (t, w) -> weights.(t) <- w) row;
    Json.List (List.map (fun w -> Json.Int w) (Array.to_list weights)) in
  let normal =
    Json.canonical
      (Json.Object
         [ ("inputs", Json.List (List.map dense allowed));
           ("label", Json.Object (("name", Json.String label.name) :: ("of", Json.List (List.map (fun p -> Json.Int p) reads)) :: label.args));
           ("readout", Json.Int readout) ])
  in
  let partly = List.length reads < k in
  let text =
    match stated, label.name with
    | Max_of_k k, _ -> "max-of-" ^ Z.to_string k
    | _, "automaton" ->
        let states = match List.assoc "states" label.args with Json.Int n -> Z.to_string n | _ -> assert false in
        Printf.sprintf "automaton of %s states %s positions" states
          (if partly then Printf.sprintf "reading %d of %d" (List.length reads) k else Printf.sprintf "in %d" k)
    | _, name ->
        let args = List.map (fun (_, value) -> Json.canonical value) label.args in
        String.concat " " ((name :: args) @ (if partly then [ Printf.sprintf "of %d" (List.length reads) ] else []) @ [ Printf.sprintf "in %d positions" k ])
  in
  { checked = { Checked.allowed; answer; reading = List.map Z.to_int reads; readout = Z.to_int readout };
    total; text; normal; digest = (match stated with Max_of_k _ -> None | File _ -> Some (Sha256.to_hex (Sha256.string normal))) }
