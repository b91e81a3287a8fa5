(* The model file: CERTIFICATE.md, section 2, for a file that says no architecture, or one that the theorem covers. *)

open Refusal

(* [weights] of a file that says no architecture: what the theorem about max-of-k is about. *)
type t = { weights : Checked.weights option; layer : Checked.layer_weights; architecture : Architecture.t; file_digest : string; tensor_digests : (string * string) list; sizes : (string * int) list }

let max_extent = Z.of_int (1 lsl 28)
let max_header = 1 lsl 20

(* Bytes per number, bits of the exponent and of the stored significand. *)
let formats = [ ("F64", (8, 11, 52)); ("F32", (4, 8, 23)); ("F16", (2, 5, 10)); ("BF16", (2, 8, 7)) ]

let axes_of ~relu ~out =
  let bias = [ "d_model" ] in
  let block name axes = ("blocks.0.attn." ^ name, "n_heads" :: axes) in
  [ ("embed.W_E", [ "d_vocab"; "d_model" ]); ("pos_embed.W_pos", [ "n_ctx"; "d_model" ]) ]
  @ List.map (fun x -> block ("W_" ^ x) [ "d_model"; "d_head" ]) [ "Q"; "K"; "V" ]
  @ [ block "W_O" [ "d_head"; "d_model" ] ]
  @ List.map (fun x -> block ("b_" ^ x) [ "d_head" ]) [ "Q"; "K"; "V" ]
  @ [ ("blocks.0.attn.b_O", bias) ]
  @ (if relu then
       [ ("blocks.0.mlp.W_in", [ "d_model"; "d_mlp" ]); ("blocks.0.mlp.b_in", [ "d_mlp" ]); ("blocks.0.mlp.W_out", [ "d_mlp"; "d_model" ]);
         ("blocks.0.mlp.b_out", bias) ]
     else [])
  @ [ ("unembed.W_U", [ "d_model"; out ]); ("unembed.b_U", [ out ]) ]

(* Little-endian floating-point numbers as integers times one power of two. *)
let dyadic name (size, exponent_bits, significand_bits) raw =
  let mask bits = Z.pred (Z.shift_left Z.one bits) in
  let top = (1 lsl exponent_bits) - 1 in
  let parts =
    List.init (String.length raw / size) (fun index ->
        let bits = Z.of_bits (String.sub raw (index * size) size) in
        let biased = Z.to_int (Z.logand (Z.shift_right bits significand_bits) (mask exponent_bits)) in
        let significand = Z.logand bits (mask significand_bits) in
        if biased = top then malformed "not-finite" (Printf.sprintf "%s[%d]" name index);
        let significand = if biased > 0 then Z.add significand (Z.shift_left Z.one significand_bits) else significand in
        let negative = Z.testbit bits (exponent_bits + significand_bits) in
        ((if negative then Z.neg significand else significand), max biased 1))
  in
  let lowest =
    List.fold_left (fun low (s, biased) -> if Z.sign s = 0 then low else match low with None -> Some biased | Some b -> Some (min b biased)) None parts
  in
  let lowest = Option.value lowest ~default:1 in
  (List.map (fun (s, biased) -> Z.shift_left s (max (biased - lowest) 0)) parts, lowest - ((top lsr 1) + significand_bits))

let rec in_rows length numbers =
  if numbers = [] then []
  else
    let rec take n l row = if n = 0 then (List.rev row, l) else match l with x :: rest -> take (n - 1) rest (x :: row) | [] -> (List.rev row, []) in
    let row, rest = take length numbers [] in
    row :: in_rows length rest

let digest text = Sha256.to_hex (Sha256.string text)

let read data =
  let bad path = malformed "bad-safetensors" path in
  if String.length data < 9 then bad "header";
  let length = Z.of_bits (String.sub data 0 8) in
  if Z.gt length (Z.of_int (min max_header (String.length data - 8))) || data.[8] <> '{' then bad "header";
  let length = Z.to_int length in
  let header = Json.mapping "tensors" (Json.parse (String.sub data 8 length)) in
  let body = String.sub data (8 + length) (String.length data - 8 - length) in
  let metadata = Option.fold ~none:[] ~some:(Json.mapping "__metadata__") (List.assoc_opt "__metadata__" header) in
  let strings = List.map (fun (name, s) -> (name, Json.text "__metadata__" s)) metadata in
  let architecture = Option.map Architecture.read (List.assoc_opt "architecture" strings) in
  let relu = match architecture with Some a -> a.relu | None -> false in
  let axes_of = axes_of ~relu ~out:(if architecture = None then "d_vocab" else "d_vocab_out") in
  let entries = List.remove_assoc "__metadata__" header in
  let field = Json.record "tensors" (List.map fst axes_of) (Json.Object entries) in
  let tensors =
    List.map
      (fun (name, axes) ->
        let fields = Json.record name [ "dtype"; "shape"; "data_offsets" ] (field name) in
        let kind =
          match List.assoc_opt (Json.text (name ^ ".dtype") (fields "dtype")) formats with
          | Some kind -> kind
          | None -> malformed "unsupported-dtype" (name ^ ".dtype")
        in
        let shape = Json.array (name ^ ".shape") Json.integer (fields "shape") in
        List.iter (fun extent -> if Z.sign extent <= 0 || Z.gt extent max_extent then malformed "bad-shape" (name ^ ".shape")) shape;
        let offsets = Json.array (name ^ ".data_offsets") Json.integer (fields "data_offsets") in
        (name, axes, kind, shape, offsets))
      axes_of
  in
  (* in the order of their offsets they fill the data, without gap or overlap *)
  let in_order = List.stable_sort (fun (_, _, _, _, a) (_, _, _, _, b) -> List.compare Z.compare a b) tensors in
  let filled =
    List.fold_left
      (fun filled (name, _, (size, _, _), shape, offsets) ->
        let after = List.fold_left Z.mul (Z.of_int size) shape |> Z.add filled in
        match offsets with
        | [ a; b ] when Z.equal a filled && Z.equal b after -> after
        | _ -> malformed "bad-offsets" (name ^ ".data_offsets"))
      Z.zero in_order
  in
  if not (Z.equal filled (Z.of_int (String.length body))) then bad "data";
  (* one extent for every axis *)
  let sizes = Hashtbl.create 8 in
  Hashtbl.add sizes "n_heads" (Z.of_int (match architecture with Some a -> a.heads | None -> 1));
  List.iter
    (fun (name, axes, _, shape, _) ->
      let bad () = malformed "bad-shape" (name ^ ".shape") in
      if List.length axes <> List.length shape then bad ();
      List.iter2
        (fun axis extent ->
          match Hashtbl.find_opt sizes axis with
          | None -> Hashtbl.add sizes axis extent
          | Some known -> if not (Z.equal known extent) then bad ())
        axes shape)
    tensors;
  let raw =
    List.map
      (fun (name, _, kind, shape, offsets) ->
        let start = Z.to_int (List.nth offsets 0) and stop = Z.to_int (List.nth offsets 1) in
        (name, (kind, shape, String.sub body start (stop - start))))
      tensors
  in
  let matrix name =
    let kind, shape, bytes = List.assoc name raw in
    let numbers, exponent = dyadic name kind bytes in
    { Checked.rows = in_rows (Z.to_int (List.nth shape (List.length shape - 1))) numbers; exponent = Z.of_int exponent }
  in
  let attn name = matrix ("blocks.0.attn." ^ name) in
  let mlp name = matrix ("blocks.0.mlp." ^ name) in
  let size name = Z.to_int (Hashtbl.find sizes name) in
  let architecture, named =
    match architecture with
    | Some a -> (a, [ "n_heads"; "d_vocab_out" ] @ if a.relu then [ "d_mlp" ] else [])
    | None -> (Architecture.one_head (size "d_head"), []) in
  (* the heads of a tensor stand one after another *)
  let by_head name =
    let { Checked.rows; exponent } = attn name in
    let each = List.length rows / architecture.heads in
    List.init architecture.heads (fun h -> { Checked.rows = List.filteri (fun i _ -> i / each = h) rows; exponent }) in
  let q, k, v, o = (by_head "W_Q", by_head "W_K", by_head "W_V", by_head "W_O") in
  let b_q, b_k, b_v = (by_head "b_Q", by_head "b_K", by_head "b_V") in
  let head h =
    let at l = List.nth l h in
    { Checked.attn_Q = at q; attn_K = at k; attn_V = at v; attn_O = at o; attn_bias_Q = at b_q; attn_bias_K = at b_k; attn_bias_V = at b_v } in
  let layer =
    {
      Checked.embed_E = matrix "embed.W_E";
      embed_pos = matrix "pos_embed.W_pos";
      attn_heads = List.init architecture.heads head;
      attn_bias_O = attn "b_O";
      mlp_of_layer =
        (if relu then
           Some { Checked.mlp_in = mlp "W_in"; mlp_bias_in = mlp "b_in"; mlp_out = mlp "W_out"; mlp_bias_out = mlp "b_out" }
         else None);
      unembed_U = matrix "unembed.W_U";
      unembed_bias = matrix "unembed.b_U";
      is_causal = architecture.causal;
      scale_above = fst architecture.scale_squared;
      scale_below = snd architecture.scale_squared;
    }
  in
  let weights =
    match architecture.entry with
    | Some _ -> None
    | None ->
        Some
          {
            Checked.embed_W_E = layer.embed_E;
            pos_embed_W_pos = layer.embed_pos;
            attn_W_Q = attn "W_Q";
            attn_W_K = attn "W_K";
            attn_W_V = attn "W_V";
            attn_W_O = attn "W_O";
            unembed_W_U = layer.unembed_U;
            attn_b_Q = attn "b_Q";
            attn_b_K = attn "b_K";
            attn_b_V = attn "b_V";
            attn_b_O = layer.attn_bias_O;
            unembed_b_U = layer.unembed_bias;
          }
  in
  {
    weights;
    layer;
    architecture;
    file_digest = digest data;
    tensor_digests = List.map (fun (name, (_, _, bytes)) -> (name, digest bytes)) raw;
    sizes = List.map (fun name -> (name, size name)) ([ "d_vocab"; "d_model"; "d_head"; "n_ctx" ] @ named);
  }
