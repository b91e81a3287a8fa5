(** rules.md, cubic_tokens: a token is accepted if the maximum stays ahead when both share the positions. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables.
From Compact Require Import Real.ScaledExp Integer.Numerators Count.Counting Facts.
Import ListNotations.
Open Scope Z_scope.

(** ** Sums of the n largest, without sorting to be believed: any threshold is sound *)

Fixpoint put_in (x : Z) (l : list Z) : list Z :=
  match l with [] => [x] | y :: rest => if y <=? x then x :: l else y :: put_in x rest end.

(** The largest first. *)
Definition in_order (l : list Z) : list Z := fold_right put_in [] l.

Definition top (n : nat) (l : list Z) : Z :=
  match n with
  | O => 0
  | S before =>
      let threshold := nth before (in_order l) 0 in
      Z.of_nat n * threshold + add_up (map (fun x => Z.max 0 (x - threshold)) l)
  end.

Fixpoint zsum (n : nat) (f : nat -> Z) : Z := match n with O => 0 | S n' => zsum n' f + f n' end.

Lemma zsum_first : forall n f, zsum (S n) f = f 0%nat + zsum n (fun i => f (S i)).
Proof. induction n as [|n IH]; intros f; [simpl; lia|]. change (zsum (S (S n)) f) with (zsum (S n) f + f (S n)). rewrite IH. simpl. lia. Qed.

Lemma zsum_list : forall (A : Type) (f : A -> Z) d l, zsum (length l) (fun p => f (nth p l d)) = add_up (map f l).
Proof. induction l as [|x l IH]; [reflexivity|]. cbn [length map add_up]. rewrite zsum_first. cbn [nth]. now rewrite <- IH. Qed.

Lemma zsum_real : forall n f, IZR (zsum n f) = sum n (fun i => IZR (f i)).
Proof. induction n as [|n IH]; intros f; [reflexivity|]. cbn [zsum sum]. now rewrite plus_IZR, IH. Qed.

Definition trues (n : nat) (b : nat -> bool) : Z := zsum n (fun p => if b p then 1 else 0).
Definition flagged (n : nat) (b : nat -> bool) (f : nat -> Z) : Z := zsum n (fun p => if b p then f p else 0).

Lemma flagged_threshold : forall (b : nat -> bool) (f : nat -> Z) h n,
  flagged n b f <= trues n b * h + zsum n (fun p => Z.max 0 (f p - h)).
Proof.
  unfold flagged, trues. induction n as [|n IH]; cbn [zsum]; [lia|]. destruct (b n); lia.
Qed.

Lemma trues_nonneg : forall (b : nat -> bool) n, 0 <= trues n b.
Proof. unfold trues. induction n; cbn [zsum]; [lia|]. destruct (b n); lia. Qed.

Lemma flagged_none : forall b f n, trues n b = 0 -> flagged n b f = 0.
Proof.
  unfold flagged, trues. induction n as [|n IH]; cbn [zsum]; intros E; [reflexivity|].
  pose proof (trues_nonneg b n) as N. unfold trues in N. destruct (b n); [lia|]. rewrite IH; lia.
Qed.

Lemma flagged_top : forall (A : Type) (f : A -> Z) d l b n, trues (length l) b = Z.of_nat n ->
  flagged (length l) b (fun p => f (nth p l d)) <= top n (map f l).
Proof.
  intros A f d l b [|n] E.
  - cbn. rewrite flagged_none by exact E. lia.
  - unfold top. rewrite <- E, map_map.
    rewrite <- (zsum_list A (fun x => Z.max 0 (f x - nth n (in_order (map f l)) 0)) d).
    apply flagged_threshold.
Qed.

(** ** What flagged positions and the others add up to at most, where each has one factor *)

Definition reach' (gain : Z) (ends : Z * Z) : Z := if 0 <=? gain then gain * snd ends else gain * fst ends.

Lemma reach'_sound : forall gain ends w, 0 <= fst ends -> (IZR (fst ends) <= w <= IZR (snd ends))%R ->
  (w * IZR gain <= IZR (reach' gain ends))%R.
Proof. intros gain [l h] w N W. exact (reach_sound 0 gain l h w N W). Qed.

Lemma reach'_zsum : forall gain (b : nat -> bool) (ends : nat -> Z * Z) n,
  zsum n (fun p => if b p then reach' gain (ends p) else 0)
  = reach' gain (flagged n b (fun p => fst (ends p)), flagged n b (fun p => snd (ends p))).
Proof.
  unfold reach', flagged. intros gain b ends. destruct (0 <=? gain); cbn [fst snd];
    (induction n as [|n IH]; cbn [zsum]; [lia | rewrite IH; destruct (b n); lia]).
Qed.

Lemma zsum_plus : forall (f g : nat -> Z) n, zsum n (fun p => f p + g p) = zsum n f + zsum n g.
Proof. induction n as [|n IH]; cbn [zsum]; lia. Qed.

Lemma flagged_rest : forall (b : nat -> bool) f n, flagged n (fun p => negb (b p)) f = zsum n f - flagged n b f.
Proof. unfold flagged. induction n as [|n IH]; cbn [zsum]; [reflexivity|]. rewrite IH. destruct (b n); cbn [negb]; lia. Qed.

Lemma trues_rest : forall (b : nat -> bool) n, trues n (fun p => negb (b p)) = Z.of_nat n - trues n b.
Proof. unfold trues. induction n as [|n IH]; cbn [zsum]; [reflexivity|]. rewrite IH. destruct (b n); cbn [negb]; lia. Qed.

(** The positions with the larger factor weigh at most the sum of as many of the heaviest. *)
Definition shares (heaviest all : Z * Z) (larger smaller : Z) : Z :=
  reach' larger heaviest + reach' smaller (fst all - fst heaviest, snd all - snd heaviest).

Definition tops (l : list (Z * Z)) (n : nat) : Z * Z := (top n (map fst l), top n (map snd l)).
Definition sums (l : list (Z * Z)) : Z * Z := (add_up (map fst l), add_up (map snd l)).

Definition shared (l : list (Z * Z)) (n : nat) (larger smaller : Z) : Z := shares (tops l n) (sums l) larger smaller.

Lemma shared_sound : forall (l : list (Z * Z)) (w : nat -> R) b n larger smaller, smaller <= larger ->
  (forall p, (p < length l)%nat -> 0 <= fst (nth p l (0, 0)) /\
     (IZR (fst (nth p l (0, 0)%Z)) <= w p <= IZR (snd (nth p l (0, 0)%Z)))%R) ->
  trues (length l) b = Z.of_nat n ->
  (sum (length l) (fun p => w p * IZR (if b p then larger else smaller)) <= IZR (shared l n larger smaller))%R.
Proof.
  intros l w b n larger smaller order near E. set (ends := fun p => nth p l (0, 0)).
  apply Rle_trans with (IZR (zsum (length l) (fun p =>
    (if b p then reach' larger (ends p) else 0) + (if negb (b p) then reach' smaller (ends p) else 0)))).
  - rewrite zsum_real. apply sum_le. intros p P. destruct (near p P) as [N W].
    destruct (b p); cbn [negb]; rewrite ?Z.add_0_r, ?Z.add_0_l; now apply reach'_sound.
  - apply IZR_le. rewrite zsum_plus, reach'_zsum.
    rewrite (reach'_zsum smaller (fun p => negb (b p))), !flagged_rest.
    pose proof (flagged_top _ fst (0, 0) l b n E) as F1. pose proof (flagged_top _ snd (0, 0) l b n E) as F2.
    unfold ends, shared, shares, tops, sums. cbn [fst snd]. rewrite (zsum_list _ fst (0, 0) l), (zsum_list _ snd (0, 0) l).
    set (a := flagged _ _ (fun p => fst _)) in *. set (c := flagged _ _ (fun p => snd _)) in *.
    set (t1 := top n (map fst l)) in *. set (t2 := top n (map snd l)) in *.
    unfold reach'. cbn [fst snd].
    destruct (0 <=? larger) eqn:S1; destruct (0 <=? smaller) eqn:S2; rewrite ?Z.leb_le, ?Z.leb_gt in *; nia.
Qed.

(** ** The rule *)

Definition bits_of_list (l : list bool) : Z := fold_right (fun b rest => 2 * rest + Z.b2z b) 0 l.

Lemma bits_of_list_spec : forall l i, Z.testbit (bits_of_list l) (Z.of_nat i) = nth i l false.
Proof.
  induction l as [|b l IH]; intros i; cbn [bits_of_list fold_right]; [rewrite Z.bits_0; now destruct i|].
  destruct i as [|i]; [apply Z.testbit_0_r|]. rewrite Nat2Z.inj_succ, Z.testbit_succ_r by lia. apply IH.
Qed.

(** The most cells of a pair with n > 0. *)
Definition cells (k q m : nat) : nat := if Nat.eqb q m then (k - 1)%nat else (k - 2)%nat.

(** Of each token up to m, an upper bound on its weight times what any wrong token gains where it stands. *)
Definition slopes_of (direct value : matrix) (unit : Z) (q m : nat) (tokens : list (Z * Z)) : list Z :=
  map (fun t => reach' (Z.shiftl (entry direct m q) (exponent direct - unit) + Z.shiftl (entry value m t) (exponent value - unit))
                  (nth t tokens (0, 0))) (seq 0 (S m)).

Definition accepts (k n : nat) (ends : list (Z * Z)) (own query_term slope : Z) : bool :=
  let before := firstn (k - 1) ends in
  (shared before n slope own + query_term <? 0) && (shared before (k - 1 - n) own slope + query_term <? 0).

Definition masks_of_pair (k q m : nat) (ends : list (Z * Z)) (slopes : list Z) : list Z :=
  let own := nth m slopes 0 in
  let query_term := reach' (nth q slopes 0) (nth (k - 1) ends (0, 0)) in
  let before := firstn (k - 1) ends in
  let all := sums before in
  map (fun n =>
    let heaviest := tops before n in
    let others := tops before (k - 1 - n) in
    (* [accepts], with what does not depend on the token worked out before *)
    bits_of_list (map (fun t =>
      let slope := nth t slopes 0 in
      (shares heaviest all slope own + query_term <? 0) && (shares others all own slope + query_term <? 0)) (seq 0 m)))
    (seq 1 (cells k q m)).

Definition cubic_tokens (w : weights) (bits : Z) (direct value : matrix) : outcome fact :=
  let (v, k) := (vocabulary w, positions w) in
  let unit := Z.min (exponent direct) (exponent value) in
  require (0 <=? bits) out_of_range
  (let A := attention_of w bits in
   Fine (Cubic_tokens (map (fun m => map (fun q =>
     let ends := ends_of_pair A q m in
     masks_of_pair k q m (fst ends) (slopes_of direct value unit q m (snd ends))) (seq 0 (S m))) (seq 0 v)))).

Lemma largest_of : forall (A : Type) (f : A -> Z) l, l <> [] -> exists x, In x l /\ forall y, In y l -> f y <= f x.
Proof.
  intros A f. induction l as [|x l IH]; intros some; [contradiction|]. destruct l as [|y l].
  - exists x. split; [now left|]. intros z [<-|[]]. lia.
  - destruct (IH ltac:(discriminate)) as (b & I & best). destruct (Z_le_gt_dec (f x) (f b)) as [le|gt].
    + exists b. split; [now right|]. intros z [<-|J]; auto.
    + exists x. split; [now left|]. intros z [<-|J]; [lia|]. specialize (best z J). lia.
Qed.

Lemma filter_not_longer : forall (A : Type) (P : A -> bool) l, (length (filter P l) <= length l)%nat.
Proof. induction l as [|x l IH]; cbn [filter length]; [lia|]. destruct (P x); cbn [length]; lia. Qed.

Lemma trues_filter : forall (P : nat -> bool) l, trues (length l) (fun p => P (nth p l 0%nat)) = Z.of_nat (length (filter P l)).
Proof.
  intros P l. unfold trues. rewrite (zsum_list _ (fun x => if P x then 1 else 0) 0%nat).
  induction l as [|x l IH]; [reflexivity|]. cbn [map add_up filter]. rewrite IH. destruct (P x); cbn [length]; lia.
Qed.

Lemma trues_ext : forall b c n, (forall p, (p < n)%nat -> b p = c p) -> trues n b = trues n c.
Proof.
  unfold trues. induction n as [|n IH]; intros E; cbn [zsum]; [reflexivity|]. rewrite IH, E by (auto with arith). reflexivity.
Qed.

Section Sound.
Variables (w : weights) (margin : fraction) (bits : Z) (direct value : matrix).
Hypothesis good : well_formed w = true.
Hypothesis natural : 0 <= bits.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation k := (n_ctx M).
Notation unit := (Z.min (exponent direct) (exponent value)).
Hypothesis direct_true : holds M (value_of margin) (Direct_path_upper direct).
Hypothesis value_true : holds M (value_of margin) (Value_path_upper value).

Variable t : list nat.
Hypothesis sequence : is_sequence M t.
Notation m := (label t).
Notation q := (query M t).
Notation n := (others M t).
Notation ends := (ends_of_pair (attention_of w bits) q m).
Notation slopes := (slopes_of direct value unit q m (snd ends)).
Notation before := (firstn (k - 1) t).
Notation slope := (fun token => nth token slopes 0).

Lemma k_some : (0 < k)%nat.
Proof. destruct (sizes w good) as (_ & _ & _ & K). exact K. Qed.

Lemma tokens_up_to_m : forall p, (nth p t 0 <= m)%nat.
Proof.
  intros p. destruct (Nat.lt_ge_cases p (length t)) as [P|P]; [|rewrite nth_overflow by assumption; lia].
  assert (G : Forall (fun x => (x <= list_max t)%nat) t) by now apply list_max_le.
  rewrite Forall_forall in G. apply G, nth_In, P.
Qed.

Lemma m_token : (m < v)%nat.
Proof.
  destruct (sizes w good) as (V & _). unfold label.
  assert (list_max t <= v - 1)%nat; [|lia]. apply list_max_le. destruct sequence as [_ all].
  revert all. apply Forall_impl. intros; lia.
Qed.

Lemma slope_above : forall y p up ut, (y < v)%nat -> y <> m -> (p < k)%nat -> (0 < up)%R -> (0 < ut)%R ->
  between ut (nth (nth p t 0%nat) (snd ends) (0, 0)) (exp (token_scores M q (nth p t 0%nat) / sqrt (INR (d_head M)))) ->
  (weight M q p (nth p t 0%nat) * gain M (value_of margin) q m y p (nth p t 0%nat) * (up * ut)
    <= exp (position_scores M q p / sqrt (INR (d_head M))) * up * IZR (slope (nth p t 0%nat)) * pow2 unit)%R.
Proof.
  intros y p up ut Y other P up_pos ut_pos [N near].
  set (x := nth p t 0%nat) in *. assert (X : (x <= m)%nat) by apply tokens_up_to_m.
  pose proof m_token as Hm.
  assert (slope x = reach' (Z.shiftl (entry direct m q) (exponent direct - unit) + Z.shiftl (entry value m x) (exponent value - unit))
    (nth x (snd ends) (0, 0))) as E.
  { unfold slopes_of. rewrite (nth_map _ _ _ (seq 0 (S m)) x 0%nat 0) by (rewrite seq_length; lia).
    now rewrite seq_nth by lia. }
  cbv beta in E. rewrite E. set (g := (Z.shiftl _ _ + _)%Z).
  assert (G : (gain M (value_of margin) q m y p x <= IZR g * pow2 unit)%R).
  { pose proof (direct_true q m y (tokens_up_to_m _) Hm Y other) as D.
    pose proof (value_true x m y p X Hm Y other P) as V.
    unfold gain, g. rewrite plus_IZR, !shiftl_real by lia. unfold number in D, V.
    replace (powerRZ 2 (exponent direct)) with (pow2 (exponent direct - unit) * pow2 unit)%R in D
      by (rewrite <- pow2_add; f_equal; lia).
    replace (powerRZ 2 (exponent value)) with (pow2 (exponent value - unit) * pow2 unit)%R in V
      by (rewrite <- pow2_add; f_equal; lia).
    lra. }
  pose proof (reach'_sound g _ _ N near) as B.
  unfold weight. unfold Rdiv. rewrite Rmult_plus_distr_r, exp_plus. fold (Rdiv (token_scores M q x) (sqrt (INR (d_head M)))).
  fold (Rdiv (position_scores M q p) (sqrt (INR (d_head M)))).
  set (a := exp (token_scores M q x / _)) in *. set (c := exp (position_scores M q p / _)).
  assert (0 < a)%R by apply exp_pos. assert (0 < c)%R by apply exp_pos. pose proof (pow2_pos unit).
  apply Rle_trans with (c * up * (a * ut * IZR g) * pow2 unit)%R.
  - apply Rle_trans with (c * up * (a * ut) * (IZR g * pow2 unit))%R; [|right; ring].
    replace (a * c * gain M (value_of margin) q m y p x * (up * ut))%R
      with (c * up * (a * ut) * gain M (value_of margin) q m y p x)%R by ring.
    apply Rmult_le_compat_l; [|exact G]. apply Rlt_le. repeat apply Rmult_lt_0_compat; assumption.
  - apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_l; [|exact B].
    apply Rlt_le, Rmult_lt_0_compat; assumption.
Qed.

Lemma accepted_is_correct : (0 < n)%nat ->
  (forall x, In x before -> x <> m ->
     accepts k n (fst ends) (slope m) (reach' (slope q) (nth (k - 1) (fst ends) (0, 0))) (slope x) = true) ->
  correct M (value_of margin) t.
Proof.
  intros some all. split; [assumption|]. intros y Y other. apply separation; [apply k_some|].
  pose proof k_some as K. pose proof m_token as Hm. pose proof sequence as [L _].
  assert (Qs : (q < v)%nat) by (apply Nat.le_lt_trans with (2 := Hm); apply tokens_up_to_m).
  destruct (ends_between w bits good natural q m Qs) as (up & ut & up_pos & ut_pos & Le & near_p & near_t).
  set (P := fun x => negb (Nat.eqb x m)).
  assert (en : Z.of_nat n = Z.of_nat (length (filter P before))) by reflexivity.
  assert (nonempty : filter P before <> []).
  { intros F. rewrite F in en. simpl length in en. lia. }
  destruct (largest_of _ slope _ nonempty) as (best & I & above). apply filter_In in I. destruct I as [I other_best].
  unfold P in other_best. apply negb_true_iff, Nat.eqb_neq in other_best.
  specialize (all best I other_best). unfold accepts in all. apply andb_prop in all. destruct all as [heavy light].
  apply Z.ltb_lt in heavy, light.
  set (b := fun p => P (nth p before 0%nat)).
  assert (Lb : length before = (k - 1)%nat) by (rewrite firstn_length; lia).
  set (pre := firstn (k - 1) (fst ends)) in *.
  assert (Lpre : length pre = (k - 1)%nat) by (unfold pre; rewrite firstn_length; lia).
  assert (count_b : trues (length pre) b = Z.of_nat n).
  { rewrite Lpre, <- Lb, en. apply trues_filter. }
  set (wp := fun p => (exp (position_scores M q p / sqrt (INR (d_head M))) * up)%R).
  assert (near : forall p, (p < length pre)%nat -> 0 <= fst (nth p pre (0, 0)) /\
     (IZR (fst (nth p pre (0, 0)%Z)) <= wp p <= IZR (snd (nth p pre (0, 0)%Z)))%R).
  { intros p Hp. unfold pre. rewrite nth_firstn_lt by lia. exact (near_p p ltac:(lia)). }
  assert (shares : exists bound, (sum (k - 1) (fun p => wp p * IZR (if b p then slope best else slope m)) <= IZR bound)%R /\
    bound + reach' (slope q) (nth (k - 1) (fst ends) (0, 0)) < 0).
  { destruct (Z_le_gt_dec (slope m) (slope best)) as [le|gt].
    - exists (shared pre n (slope best) (slope m)). split; [|exact heavy].
      rewrite <- Lpre. now apply shared_sound.
    - exists (shared pre (k - 1 - n) (slope m) (slope best)). split; [|exact light].
      apply Rle_trans with (sum (k - 1) (fun p => wp p * IZR (if negb (b p) then slope m else slope best)))%R.
      + right. apply sum_ext. intros p _. now destruct (b p).
      + pose proof (shared_sound pre wp (fun p => negb (b p)) (k - 1 - n) (slope m) (slope best) (Z.lt_le_incl _ _ (Z.gt_lt _ _ gt)) near) as H.
        rewrite Lpre in H. apply H. clear H.
        rewrite Lpre in count_b. rewrite trues_rest, count_b.
        assert (n <= k - 1)%nat by (rewrite <- Lb; apply Nat2Z.inj_le; rewrite en; apply Nat2Z.inj_le, filter_not_longer).
        lia. }
  destruct shares as (bound & below & negative).
  assert (main : (numerator M (value_of margin) m y t * (up * ut)
    <= (IZR bound + IZR (reach' (slope q) (nth (k - 1) (fst ends) (0, 0)%Z))) * pow2 unit)%R).
  { unfold numerator. fold (query M t). rewrite <- sum_scale_r. replace k with (S (k - 1)) at 1 by lia. cbn [sum].
    rewrite Rmult_plus_distr_r. pose proof (pow2_pos unit). apply Rplus_le_compat.
    - apply Rle_trans with (sum (k - 1) (fun p => wp p * IZR (if b p then slope best else slope m)) * pow2 unit)%R;
        [|apply Rmult_le_compat_r; lra].
      rewrite <- sum_scale_r. apply sum_le. intros p Hp.
      apply Rle_trans with (1 := slope_above y p up ut Y other ltac:(lia) up_pos ut_pos
        (near_t _ (tokens_up_to_m p) (Nat.le_lt_trans _ _ _ (tokens_up_to_m p) Hm))).
      apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_l.
      { apply Rlt_le, Rmult_lt_0_compat; [apply exp_pos | assumption]. }
      apply IZR_le. unfold b, P. rewrite nth_firstn_lt by lia.
      destruct (Nat.eqb (nth p t 0%nat) m) eqn:same; cbn [negb].
      + apply Nat.eqb_eq in same. now rewrite same.
      + apply above. apply filter_In. split; [|unfold P; now rewrite same].
        rewrite <- (nth_firstn_lt _ (k - 1) t p 0%nat) by lia. apply nth_In. lia.
    - apply Rle_trans with (1 := slope_above y (k - 1) up ut Y other ltac:(lia) up_pos ut_pos
        (near_t _ (tokens_up_to_m _) (Nat.le_lt_trans _ _ _ (tokens_up_to_m _) Hm))).
      apply Rmult_le_compat_r; [lra|]. destruct (near_p (k - 1)%nat ltac:(lia)) as [N B].
      exact (reach'_sound (slope q) _ _ N B). }
  apply IZR_lt in negative. rewrite plus_IZR in negative. pose proof (pow2_pos unit).
  assert (0 < up * ut)%R by now apply Rmult_lt_0_compat.
  apply Rmult_lt_reg_r with (up * ut)%R; [assumption|]. rewrite Rmult_0_l. nra.
Qed.
End Sound.

Theorem cubic_tokens_sound : forall w margin bits direct value f,
  well_formed w = true ->
  holds (model_of w) (value_of margin) (Direct_path_upper direct) ->
  holds (model_of w) (value_of margin) (Value_path_upper value) ->
  cubic_tokens w bits direct value = Fine f -> holds (model_of w) (value_of margin) f.
Proof.
  intros w margin bits direct value f good D V E. unfold cubic_tokens in E.
  apply require_fine in E. destruct E as [natural E]. apply Z.leb_le in natural. apply fine_eq in E. subst f.
  cbn [holds]. intros t is_t [some all].
  apply (accepted_is_correct w margin bits direct value good natural D V t is_t some). intros x I other.
  specialize (all x I other). unfold mask_at in all.
  pose proof (m_token w good t is_t) as Hm. pose proof (tokens_up_to_m t) as up_to.
  rewrite (nth_map _ _ _ (seq 0 (vocabulary w)) (label t) 0%nat) in all by (rewrite seq_length; exact Hm).
  rewrite seq_nth in all by exact Hm. cbn [Nat.add] in all.
  assert (Q : (query (model_of w) t < S (label t))%nat) by (apply le_n_S, up_to).
  rewrite (nth_map _ _ _ (seq 0 (S (label t))) _ 0%nat) in all by (rewrite seq_length; exact Q).
  rewrite seq_nth in all by exact Q. cbn [Nat.add] in all. unfold masks_of_pair in all.
  set (n := others (model_of w) t) in *. set (c := cells _ _ _) in *.
  destruct (Nat.lt_ge_cases (n - 1) c) as [small|large].
  2:{ rewrite nth_overflow in all by (rewrite map_length, seq_length; exact large). rewrite Z.bits_0 in all. discriminate. }
  rewrite (nth_map _ _ _ (seq 1 c) (n - 1) 0%nat) in all by (rewrite seq_length; exact small).
  rewrite seq_nth in all by exact small. replace (1 + (n - 1))%nat with n in all by lia.
  rewrite bits_of_list_spec in all.
  destruct (Nat.lt_ge_cases x (label t)) as [below|above].
  2:{ rewrite nth_overflow in all by (rewrite map_length, seq_length; exact above). discriminate. }
  rewrite (nth_map _ _ _ (seq 0 (label t)) x 0%nat) in all by (rewrite seq_length; exact below).
  rewrite seq_nth in all by exact below. exact all.
Qed.
