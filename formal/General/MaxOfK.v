(** Max-of-k by one head as a problem of one layer: what the rules about any problem prove of it is what Model.v says. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Real.Sums Integer.Matrix Integer.Tables Facts Kernel General.Steps.
Import ListNotations.
Open Scope Z_scope.

Definition one_head (w : weights) : layer_weights := {|
  embed_E := embed_W_E w; embed_pos := pos_embed_W_pos w;
  attn_heads := [{| attn_Q := attn_W_Q w; attn_K := attn_W_K w; attn_V := attn_W_V w; attn_O := attn_W_O w;
                    attn_bias_Q := attn_b_Q w; attn_bias_K := attn_b_K w; attn_bias_V := attn_b_V w |}];
  attn_bias_O := attn_b_O w; mlp_of_layer := None; unembed_U := unembed_W_U w; unembed_bias := unembed_b_U w;
  is_causal := true; scale_above := Z.of_nat (Integer.Tables.head_size w); scale_below := 1 |}.

Definition max_of_k (w : weights) : problem := {|
  allowed := repeat (map (fun t => (t, 1)) (seq 0 (vocabulary w))) (positions w);
  answer := Max; reading := seq 0 (positions w); readout := (positions w - 1)%nat |}.

(** By the rules about any problem. *)
Definition check_regions (w : weights) (budget : Z) (margin : fraction) (steps : list general_step) (right missed : Z) : verdict :=
  if negb (well_formed w) then Not_verified bad_weights None else check_general (one_head w) (max_of_k w) budget margin steps right missed None.

(** ** Inputs *)

Lemma weight_of_token : forall v t, weight_in (map (fun t => (t, 1)) (seq 0 v)) t = if Nat.ltb t v then 1 else 0.
Proof.
  intros v t. unfold weight_in. destruct (find _ _) as [choice|] eqn:F.
  - apply find_some in F. destruct F as [I E]. apply Nat.eqb_eq in E. rewrite in_map_iff in I. destruct I as (t' & <- & I). cbn [fst snd] in *. subst t'.
    apply in_seq in I. replace (Nat.ltb t v) with true by (symmetry; apply Nat.ltb_lt; lia). reflexivity.
  - destruct (Nat.ltb_spec t v) as [less|]; [|reflexivity]. exfalso.
    pose proof (find_none _ _ F (t, 1) (in_map (fun t => (t, 1)) (seq 0 v) t (proj2 (in_seq v 0 t) ltac:(lia)))) as N. cbn [fst] in N.
    now rewrite Nat.eqb_refl in N.
Qed.

(** Every input weighs 1. *)
Lemma weight_of_sequence : forall v k x, 0 < weight_of_input (repeat (map (fun t => (t, 1)) (seq 0 v)) k) x ->
  length x = k /\ Forall (fun t => (t < v)%nat) x /\ weight_of_input (repeat (map (fun t => (t, 1)) (seq 0 v)) k) x = 1.
Proof.
  intros v. induction k as [|k IH]; intros [|t x] positive; cbn [repeat weight_of_input] in *; try (cbn in positive; lia); [now repeat split|].
  rewrite weight_of_token in *. destruct (Nat.ltb_spec t v) as [less|]; [|lia]. destruct (IH x ltac:(lia)) as (Len & small & one).
  split; [cbn; lia|]. split; [now constructor|]. lia.
Qed.

(** ** The label *)

Lemma existsb_seq : forall k p, (p < k)%nat -> existsb (Nat.eqb p) (seq 0 k) = true.
Proof. intros k p P. apply existsb_exists. exists p. split; [apply in_seq; lia | apply Nat.eqb_refl]. Qed.

Lemma run_max : forall k x p s, (p + length x = k)%nat -> run Max (seq 0 k) [s] p x = [Z.max s (Z.of_nat (list_max x))] \/ (x = [] /\ run Max (seq 0 k) [s] p x = [s]).
Proof.
  intros k. induction x as [|t x IH]; intros p s Len; [now right|]. left. cbn [run length] in *. rewrite existsb_seq by lia.
  cbn [advance]. change (list_max (t :: x)) with (Nat.max t (list_max x)).
  destruct (IH (S p) (Z.max s (Z.of_nat t)) ltac:(lia)) as [-> | [-> ->]]; f_equal; cbn [list_max fold_right] in *; lia.
Qed.

Lemma label_is_max : forall w x, length x = positions w -> (0 < positions w)%nat -> right_answer (max_of_k w) x = Z.of_nat (label x).
Proof.
  intros w x Len some. unfold right_answer, max_of_k, label. cbn [answer reading start]. destruct x as [|t x]; [cbn in Len; lia|].
  cbn [run]. rewrite existsb_seq by exact some. cbn [advance length] in *. change (list_max (t :: x)) with (Nat.max t (list_max x)).
  destruct (run_max (positions w) x 1 (Z.of_nat t) ltac:(lia)) as [-> | [-> ->]]; cbn [output hd list_max fold_right]; lia.
Qed.

(** ** The logits *)

Section Logits.
Variables (w : weights) (x : list nat).
Notation L := (layer_of (one_head w)).
Notation M := (model_of w).
Notation only := (head_of_weights (hd (Head_weights (attn_W_Q w) (attn_W_K w) (attn_W_V w) (attn_W_O w) (attn_b_Q w) (attn_b_K w) (attn_b_V w)) (attn_heads (one_head w)))).

Lemma scale_is : scale_squared L = INR (d_head M).
Proof. cbn [scale_squared layer_of scale_above scale_below one_head d_head model_of]. unfold Integer.Tables.head_size. rewrite <- INR_IZR_INZ. field. Qed.

Lemma score_is : forall p j, head_score L x only p j = score M x p j.
Proof. intros p j. unfold head_score, score. rewrite scale_is. reflexivity. Qed.

Lemma attention_is : forall p j, head_attention L x only p j = attention M x p j.
Proof.
  intros p j. unfold head_attention, attention. rewrite score_is. f_equal.
  change (visible L x p) with (S p). apply sum_ext. intros i _. now rewrite score_is.
Qed.

Lemma logit_is : forall r y, logit_at L x r y = (sum (d_model M) (fun i => (residual M x r i + sum (d_head M) (fun h => mixed M x r h * W_O M h i) + b_O M i) * W_U M i y) + b_U M y)%R.
Proof.
  intros r y. unfold logit_at. change (residual_size L) with (d_model M). change (b_unembed L y) with (b_U M y). f_equal.
  apply sum_ext. intros i _. change (unembed L i y) with (W_U M i y). f_equal. unfold leaving, after_heads, sum_of_heads.
  change (mlp L) with (@None neurons). change (heads L) with [only]. cbn [fold_right]. change (b_attention L i) with (b_O M i). f_equal.
  change (entering L x r i) with (residual M x r i). rewrite Rplus_0_r. f_equal. change (General.head_size L) with (d_head M).
  apply sum_ext. intros h _. change (head_O only h i) with (W_O M h i). f_equal. unfold head_mixed, mixed.
  change (visible L x r) with (S r). apply sum_ext. intros j _. now rewrite attention_is.
Qed.
End Logits.

(** ** The claim *)

Lemma answered_is_correct : forall w margin x, well_formed w = true -> 0 < weight_of_input (allowed (max_of_k w)) x ->
  is_sequence (model_of w) x /\ (answered (layer_of (one_head w)) (max_of_k w) margin x <-> correct (model_of w) margin x).
Proof.
  intros w margin x good positive. pose proof (sizes w good) as (v_some & d_some & _ & k_some).
  destruct (weight_of_sequence _ _ x positive) as (Len & small & _). pose proof (shapes w good) as (_ & _ & _ & _ & _ & _ & SU & _).
  assert (O : outputs (layer_of (one_head w)) = d_vocab (model_of w)) by exact (columns_of _ _ _ SU d_some).
  pose proof (label_is_max w x Len k_some) as Lab. assert (S : is_sequence (model_of w) x) by (split; [exact Len | exact small]).
  split; [exact S|]. split.
  - intros (c & Lab' & C & each). rewrite Lab in Lab'. apply Nat2Z.inj in Lab'. subst c.
    split; [exact S|]. intros y Y other. rewrite O in each. specialize (each y Y other).
    change (readout (max_of_k w)) with (positions w - 1)%nat in each. rewrite !logit_is in each. exact each.
  - intros [_ each]. exists (label x). split; [now symmetry|]. rewrite O. split.
    + apply list_max_lt; [|exact small]. intros ->. refine (Nat.lt_irrefl 0 (Nat.lt_le_trans _ _ _ k_some _)). apply Nat.eq_le_incl. symmetry. exact Len.
    + intros y Y other. change (readout (max_of_k w)) with (positions w - 1)%nat. rewrite !logit_is. exact (each y Y other).
Qed.

Lemma weigh_is_at_least : forall w n (Q Q' : list nat -> Prop), weigh_at_least (max_of_k w) n Q ->
  (forall x, 0 < weight_of_input (allowed (max_of_k w)) x -> Q x -> Q' x) -> at_least n Q'.
Proof.
  intros w n Q Q' (xs & U & all & many) weaker. exists xs. split; [exact U|]. split.
  - revert all. apply Forall_impl. intros x [positive A]. auto.
  - apply Z.le_trans with (1 := many). clear - all. induction all as [|x xs [positive _] _ IH]; [cbn; lia|].
    destruct (weight_of_sequence _ _ x positive) as (_ & _ & one). cbn [total_weight fold_right length].
    change (fold_right (fun x rest => weight_of_input (allowed (max_of_k w)) x + rest) 0 xs) with (total_weight (allowed (max_of_k w)) xs).
    change (allowed (max_of_k w)) with (repeat (map (fun t => (t, 1)) (seq 0 (vocabulary w))) (positions w)) at 1. rewrite one. lia.
Qed.

Theorem check_regions_sound : forall w budget margin steps right missed, check_regions w budget margin steps right missed = Verified ->
  at_least right (correct (model_of w) (value_of margin)) /\ at_least missed (wrong (model_of w) (value_of margin)).
Proof.
  intros w budget margin steps right missed E. unfold check_regions in E. destruct (well_formed w) eqn:good; [|discriminate]. cbn [negb] in E.
  apply check_general_sound in E. destruct E as [A B]. split.
  - apply weigh_is_at_least with (1 := A). intros x positive. now apply answered_is_correct.
  - apply weigh_is_at_least with (1 := B). intros x positive no. destruct (answered_is_correct w (value_of margin) x good positive) as [S same].
    split; [exact S|]. now rewrite <- same.
Qed.
