(** rules.md, separable_counts, "Weights": attention weights of a query from approximate scores, at one position or at the
    worst of a pool of positions. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Real.Separation Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp.
From Compact Require Import Integer.Numerators Facts.
Import ListNotations.
Open Scope R_scope.

(** Powers of the scores of all tokens of each query: as tokens other than the maximum, and as the maximum; and ends for
    all positions. *)
Record query_weights := Query_weights { of_others : list (list power); of_own : list (list power); of_places : list (list (Z * Z)) }.

(** What is enclosed by [a], times what is from the one that [b] encloses to 1. *)
Definition down_to (bits : Z) (a b : power) : power :=
  {| low := shift_down (low a * low b) (bits + shift b); high := high a; shift := shift a |}.

Definition times (bits : Z) (a b : power) : power :=
  {| low := shift_down (low a * low b) bits; high := shift_up (high a * high b) bits; shift := (shift a + shift b)%Z |}.

Definition query_weights_of (w : weights) (kept : matrix) (error : list Z) (bits : Z) : query_weights :=
  let (h, P) := (head_of w, position_scores_table w) in
  let scales A := fold_right (add_scales h bits (exponent A)) in
  (* no error is above 0, and each is that far below *)
  let errors := [0 :: map Z.opp error ++ map (fun e => - (2 * e)) error]%Z in
  let known := scales kept (scales P (scales kept [] errors) (rows P)) (rows kept) in
  let exponential := exp_below h known bits (exponent kept) in
  let powers := map (exponentials h known bits (exponent kept)) (rows kept) in
  {| of_others := map (fun one : Z * list power => let (e, row) := one in
       let least := exponential (2 * e)%Z in map (fun a => down_to bits a least) row) (combine error powers);
     of_own := map (fun one : Z * list power => let (e, row) := one in
       let light := exponential e in map (fun a => times bits a light) row) (combine error powers);
     of_places := map (fun row => aligned (exponentials h known bits (exponent P) row)) (rows P) |}.

Definition none : power := {| low := 0; high := 0; shift := 0 |}.

(** Tokens up to m, in one unit. *)
Definition token_ends (a : query_weights) (q m : nat) : list (Z * Z) :=
  aligned (firstn m (nth q (of_others a) []) ++ [nth m (nth q (of_own a) []) none]).

(** Positions, such that the largest product with a token is about [2 ^ bits]. *)
Definition place_ends (bits : Z) (a : query_weights) (q : nat) (tokens : list (Z * Z)) : list (Z * Z) :=
  let most := largest (map snd tokens) in
  map (fun ends => (Z.shiftl (fst ends) bits / most, quotient_up (Z.shiftl (snd ends) bits) most)%Z) (nth q (of_places a) []).

Lemma Forall2_of_nth : forall (A B : Type) (P : A -> B -> Prop) a b da db, length a = length b ->
  (forall i, (i < length b)%nat -> P (nth i a da) (nth i b db)) -> Forall2 P a b.
Proof.
  intros A B P. induction a as [|x a IH]; intros [|y b] da db L all; try discriminate; constructor.
  - exact (all 0%nat ltac:(simpl; lia)).
  - apply (IH b da db); [simpl in L; lia|]. intros i I. exact (all (S i) ltac:(simpl; lia)).
Qed.

Lemma down_to_encloses : forall bits a b x y z, encloses bits a x -> encloses bits b y -> x * y <= z <= x ->
  encloses bits (down_to bits a b) z.
Proof.
  intros bits a b x y z (na & la & ha) (nb & lb & hb) (lo & hi). unfold encloses, down_to. cbn [low high shift].
  split; [apply shift_down_nonneg; now apply Z.mul_nonneg_nonneg|]. split; [|lra].
  apply Rle_trans with (2 := lo). pose proof (pow2_pos (- (bits + shift a))) as P. pose proof (pow2_pos (- (bits + shift b))) as P'.
  apply Rle_trans with (IZR (low a * low b) * pow2 (- (bits + shift b)) * pow2 (- (bits + shift a))).
  - apply Rmult_le_compat_r; [lra | apply shift_down_le].
  - rewrite mult_IZR. apply (IZR_le 0) in na, nb.
    replace (IZR (low a) * IZR (low b) * pow2 (- (bits + shift b)) * pow2 (- (bits + shift a)))
      with ((IZR (low a) * pow2 (- (bits + shift a))) * (IZR (low b) * pow2 (- (bits + shift b)))) by ring.
    apply Rmult_le_compat; try assumption; apply Rmult_le_pos; lra.
Qed.

Lemma times_encloses : forall bits a b x y, encloses bits a x -> encloses bits b y -> encloses bits (times bits a b) (x * y).
Proof.
  intros bits a b x y (na & la & ha) (nb & lb & hb). unfold encloses, times. cbn [low high shift].
  split; [apply shift_down_nonneg; now apply Z.mul_nonneg_nonneg|].
  pose proof (pow2_pos (- (bits + shift a))) as P. pose proof (pow2_pos (- (bits + shift b))) as P'.
  pose proof (pow2_pos (- (bits + (shift a + shift b)))) as P''. pose proof (pow2_pos (- bits)).
  assert (units : forall u v, u * pow2 (- (bits + shift a)) * (v * pow2 (- (bits + shift b)))
    = u * v * pow2 (- bits) * pow2 (- (bits + (shift a + shift b)))).
  { intros u v. replace (u * v * pow2 (- bits) * pow2 (- (bits + (shift a + shift b))))
      with (u * v * (pow2 (- bits) * pow2 (- (bits + (shift a + shift b))))) by ring.
    rewrite <- pow2_add. replace (- bits + - (bits + (shift a + shift b)))%Z with (- (bits + shift a) + - (bits + shift b))%Z by lia.
    rewrite pow2_add. ring. }
  apply (IZR_le 0) in na, nb. assert (0 <= IZR (low a) * pow2 (- (bits + shift a))) by (apply Rmult_le_pos; lra).
  assert (0 <= IZR (low b) * pow2 (- (bits + shift b))) by (apply Rmult_le_pos; lra). split.
  - apply Rle_trans with (IZR (low a * low b) * pow2 (- bits) * pow2 (- (bits + (shift a + shift b)))).
    + apply Rmult_le_compat_r; [lra | apply shift_down_le].
    + rewrite mult_IZR, <- units. apply Rmult_le_compat; assumption.
  - apply Rle_trans with (IZR (high a * high b) * pow2 (- bits) * pow2 (- (bits + (shift a + shift b)))).
    + rewrite mult_IZR, <- units. apply Rmult_le_compat; lra.
    + apply Rmult_le_compat_r; [lra | apply shift_up_ge].
Qed.

Section Weights.
Variables (w : weights) (kept : matrix) (error : list Z) (bits : Z) (margin : R).
Hypothesis good : well_formed w = true.
Hypothesis natural : (0 <= bits)%Z.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation root := (sqrt (INR (d_head M))).
Hypothesis close : holds M margin (Score_approximation kept error).
Notation a := (query_weights_of w kept error bits).

Let errors := [0 :: map Z.opp error ++ map (fun e => - (2 * e)) error]%Z.
Let known : memo :=
  let scales A := fold_right (add_scales (head_of w) bits (exponent A)) in
  scales kept (scales (position_scores_table w) (scales kept [] errors) (rows (position_scores_table w))) (rows kept).

Lemma known_right : right_memo (head_of w) known.
Proof. unfold known. repeat apply scales_right. constructor. Qed.

Lemma error_nonneg : forall q, (q < v)%nat -> (0 <= nth q error 0)%Z.
Proof.
  intros q Q. destruct close as (_ & _ & C). specialize (C q q q Q Q Q). rewrite !Rminus_eq_0, Rabs_R0 in C.
  pose proof (pow2_pos (exponent kept)). apply le_IZR. nra.
Qed.

Lemma exponentials_at : forall A r c q, has_shape A r c -> (q < r)%nat -> exists factor, 0 < factor /\
  forall j, (j < c)%nat -> encloses bits (nth j (exponentials (head_of w) known bits (exponent A) (nth q (rows A) [])) none)
    (exp (number A q j / root) * factor).
Proof.
  intros A r c q S Q.
  destruct (exponentials_enclose (head_of w) known bits (exponent A) (nth q (rows A) []) known_right (head_pos w good) natural)
    as (factor & positive & all).
  exists factor. split; [assumption|]. intros j J.
  assert (L : length (nth q (rows A) []) = c) by now apply (row_length A r).
  pose proof (Forall2_nth _ _ _ _ _ none 0 j all) as at_j. rewrite map_length, L in at_j. specialize (at_j J).
  rewrite (nth_map _ _ _ _ _ 0%Z) in at_j by (rewrite L; exact J).
  unfold number, entry. unfold head_of in *. rewrite <- INR_IZR_INZ in at_j. exact at_j.
Qed.

Lemma tokens_enclosed : forall q m, (q < v)%nat -> (m < v)%nat ->
  exists ut, 0 < ut /\ length (token_ends a q m) = S m /\
    forall t, (t <= m)%nat -> between ut (nth t (token_ends a q m) (0, 0)%Z) (exp (token_scores M q t / root)).
Proof.
  intros q m Q Hm. pose proof close as ([Lk Sk] & Le & C). specialize (C q).
  destruct (exponentials_at kept v v q (conj Lk Sk) Q) as (factor & positive & each).
  pose proof (error_nonneg q Q) as E0. set (er := nth q error 0%Z) in *.
  pose proof (exp_below_encloses (head_of w) known bits (exponent kept) er known_right (head_pos w good) natural E0) as light.
  pose proof (exp_below_encloses (head_of w) known bits (exponent kept) (2 * er) known_right (head_pos w good) natural ltac:(lia)) as least.
  assert (root_pos : 0 < root).
  { apply sqrt_lt_R0. destruct (sizes w good) as (_ & _ & H & _). now apply lt_0_INR. }
  assert (same_root : sqrt (IZR (head_of w)) = root) by (unfold head_of; now rewrite <- INR_IZR_INZ). rewrite same_root in light, least.
  set (d := IZR er * pow2 (exponent kept) / root) in *.
  assert (two : IZR (2 * er) * pow2 (exponent kept) / root = 2 * d) by (unfold d; rewrite mult_IZR; field; lra). rewrite two in least.
  set (powers := exponentials (head_of w) known bits (exponent kept) (nth q (rows kept) [])) in *.
  assert (Lp : length powers = v) by (unfold powers, exponentials; rewrite map_length; apply (row_length kept v v q); [now split | assumption]).
  assert (others_at : nth q (of_others a) [] = map (fun x => down_to bits x (exp_below (head_of w) known bits (exponent kept) (2 * er))) powers).
  { unfold query_weights_of. cbn [of_others]. fold errors. fold known.
    rewrite (nth_map _ _ _ (combine error _) q (0%Z, []) []) by (rewrite combine_length, map_length; lia).
    rewrite combine_nth by (rewrite map_length; lia).
    rewrite (nth_map _ _ _ (rows kept) q [] []) by lia. reflexivity. }
  assert (own_at : nth q (of_own a) [] = map (fun x => times bits x (exp_below (head_of w) known bits (exponent kept) er)) powers).
  { unfold query_weights_of. cbn [of_own]. fold errors. fold known.
    rewrite (nth_map _ _ _ (combine error _) q (0%Z, []) []) by (rewrite combine_length, map_length; lia).
    rewrite combine_nth by (rewrite map_length; lia).
    rewrite (nth_map _ _ _ (rows kept) q [] []) by lia. reflexivity. }
  set (S_ := token_scores M q) in *. set (K := number kept q) in *.
  set (constant := exp ((K m - S_ m) / root - d) * factor).
  assert (constant_pos : 0 < constant) by (apply Rmult_lt_0_compat; [apply exp_pos | assumption]).
  assert (Lf : length (firstn m (nth q (of_others a) [])) = m) by (rewrite others_at, firstn_length, map_length; lia).
  assert (all : Forall2 (encloses bits) (firstn m (nth q (of_others a) []) ++ [nth m (nth q (of_own a) []) none])
    (map (fun t => exp (S_ t / root) * constant) (seq 0 (S m)))).
  { apply (Forall2_of_nth _ _ _ _ _ none 0).
    - rewrite app_length, Lf, map_length, seq_length. simpl. lia.
    - intros t T. rewrite map_length, seq_length in T.
      rewrite (nth_map _ _ _ (seq 0 (S m)) t 0%nat) by now rewrite seq_length. rewrite seq_nth by assumption. cbn [Nat.add].
      specialize (each t ltac:(lia)). fold (K t) in each.
      destruct (Nat.eq_dec t m) as [->|other].
      + rewrite app_nth2, Lf, Nat.sub_diag by lia. cbn [nth]. rewrite own_at.
        rewrite (nth_map _ _ _ powers m none none) by lia.
        replace (exp (S_ m / root) * constant) with (exp (K m / root) * factor * exp (- d)).
        * now apply times_encloses.
        * unfold constant. rewrite <- !Rmult_assoc, <- exp_plus, (Rmult_comm (exp (K m / root) * factor)), <- Rmult_assoc, <- exp_plus.
          do 2 f_equal. field. lra.
      + rewrite app_nth1 by lia. rewrite nth_firstn_lt by lia. rewrite others_at.
        rewrite (nth_map _ _ _ powers t none none) by lia.
        apply down_to_encloses with (1 := each) (2 := least).
        specialize (C t m Q ltac:(lia) Hm). fold (S_ t) (S_ m) (K t) (K m) er in C.
        assert (near : Rabs ((S_ t - S_ m) / root - (K t - K m) / root) <= d).
        { replace ((S_ t - S_ m) / root - (K t - K m) / root) with (((S_ t - S_ m) - (K t - K m)) * / root) by (field; lra).
          rewrite Rabs_mult, (Rabs_right (/ root)) by (apply Rle_ge, Rlt_le, Rinv_0_lt_compat; lra).
          unfold d, Rdiv. apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat; lra | exact C]. }
        set (delta := (S_ t - S_ m) / root - (K t - K m) / root) in *.
        assert (E : exp (S_ t / root) * constant = exp (K t / root + (delta - d)) * factor).
        { unfold constant. rewrite <- Rmult_assoc, <- exp_plus. do 2 f_equal. unfold delta. field. lra. }
        assert (bounds : - d <= delta <= d) by (unfold Rabs in near; destruct (Rcase_abs delta); lra).
        rewrite E. split.
        * rewrite Rmult_assoc, (Rmult_comm factor), <- Rmult_assoc, <- exp_plus. apply Rmult_le_compat_r; [lra|].
          destruct (Req_dec (- (2 * d)) (delta - d)) as [->|ne]; [lra|]. apply Rlt_le, exp_increasing. lra.
        * apply Rmult_le_compat_r; [lra|].
          destruct (Req_dec 0 (delta - d)) as [<-|ne]; [rewrite Rplus_0_r; lra|]. apply Rlt_le, exp_increasing. lra. }
  apply aligned_between in all. destruct all as (unit & unit_pos & all).
  exists (unit * constant). split; [now apply Rmult_lt_0_compat|].
  assert (L : length (token_ends a q m) = S m).
  { unfold token_ends, aligned. rewrite map_length, app_length, Lf. simpl. lia. }
  split; [exact L|].
  intros t T. pose proof (Forall2_nth _ _ _ _ _ (0, 0)%Z 0 t all) as at_t. rewrite map_length, seq_length in at_t. specialize (at_t ltac:(lia)).
  rewrite (nth_map _ _ _ (seq 0 (S m)) t 0%nat) in at_t by (rewrite seq_length; lia). rewrite seq_nth in at_t by lia. cbn [Nat.add] in at_t.
  destruct at_t as [N at_t]. split; [exact N|].
  replace (exp (S_ t / root) * (unit * constant)) with (exp (S_ t / root) * constant * unit) by ring. exact at_t.
Qed.
Lemma places_enclosed : forall q tokens, (q < v)%nat -> (exists ends, In ends tokens /\ 0 < snd ends)%Z ->
  exists up, 0 < up /\ length (place_ends bits a q tokens) = n_ctx M /\
    forall p, (p < n_ctx M)%nat -> between up (nth p (place_ends bits a q tokens) (0, 0)%Z) (exp (position_scores M q p / root)).
Proof.
  intros q tokens Q (ends & I & some).
  pose proof (stands_position_scores w good) as ([LP SP] & F). set (P := position_scores_table w) in *.
  destruct (exponentials_at P v (n_ctx M) q (conj LP SP) Q) as (factor & positive & each).
  set (most := largest (map snd tokens)).
  assert (most_pos : (0 < most)%Z).
  { apply Z.lt_le_trans with (1 := some). apply largest_ge. now apply in_map. }
  apply IZR_lt in most_pos as most_pos'.
  set (powers := exponentials (head_of w) known bits (exponent P) (nth q (rows P) [])) in *.
  assert (Lr : length (nth q (rows P) []) = n_ctx M) by (apply (row_length P v); [now split | assumption]).
  assert (Lp : length powers = n_ctx M) by (unfold powers, exponentials; now rewrite map_length).
  assert (places_at : nth q (of_places a) [] = aligned powers).
  { unfold query_weights_of. cbn [of_places]. fold errors. fold P. rewrite (nth_map _ _ _ (rows P) q [] []) by lia. reflexivity. }
  assert (all : Forall2 (encloses bits) powers (map (fun p => exp (position_scores M q p / root) * factor) (seq 0 (n_ctx M)))).
  { apply (Forall2_of_nth _ _ _ _ _ none 0); [rewrite map_length, seq_length; exact Lp|]. intros p Hp. rewrite map_length, seq_length in Hp.
    rewrite (nth_map _ _ _ (seq 0 (n_ctx M)) p 0%nat) by now rewrite seq_length. rewrite seq_nth by assumption. cbn [Nat.add].
    rewrite F by assumption. now apply each. }
  apply aligned_between in all. destruct all as (unit & unit_pos & all).
  pose proof (pow2_pos bits) as B.
  exists (unit * factor * pow2 bits / IZR most).
  split; [apply Rdiv_lt_0_compat; [|assumption]; repeat apply Rmult_lt_0_compat; assumption|].
  assert (La : length (aligned powers) = n_ctx M) by (unfold aligned; now rewrite map_length).
  unfold place_ends. fold most. rewrite places_at. split; [now rewrite map_length|].
  intros p Hp. pose proof (Forall2_nth _ _ _ _ _ (0, 0)%Z 0 p all) as at_p. rewrite map_length, seq_length in at_p. specialize (at_p Hp).
  rewrite (nth_map _ _ _ (seq 0 (n_ctx M)) p 0%nat) in at_p by now rewrite seq_length. rewrite seq_nth in at_p by assumption. cbn [Nat.add] in at_p.
  rewrite (nth_map _ _ _ (aligned powers) p (0, 0)%Z) by lia.
  destruct (nth p (aligned powers) (0, 0)%Z) as [l h]. destruct at_p as [N [lo hi]]. cbn [fst snd] in *.
  set (x := exp (position_scores M q p / root)) in *.
  unfold between. replace (x * (unit * factor * pow2 bits / IZR most)) with (x * factor * unit * pow2 bits / IZR most) by (field; lra).
  assert (shifted : forall n, IZR (Z.shiftl n bits) = IZR n * pow2 bits) by (intros; now apply shiftl_real).
  split; [apply Z.div_pos; [apply Z.shiftl_nonneg|]; assumption|]. split.
  - pose proof (quotient_down_le (Z.shiftl l bits) most most_pos) as D. rewrite shifted in D.
    apply Rmult_le_reg_r with (IZR most); [assumption|]. cbn [fst]. unfold Rdiv. rewrite (Rmult_assoc _ (/ IZR most)), Rinv_l, Rmult_1_r by lra.
    apply Rle_trans with (1 := D). apply Rmult_le_compat_r; lra.
  - pose proof (quotient_up_ge (Z.shiftl h bits) most most_pos) as D. rewrite shifted in D.
    apply Rmult_le_reg_r with (IZR most); [assumption|]. cbn [snd]. unfold Rdiv. rewrite (Rmult_assoc _ (/ IZR most)), Rinv_l, Rmult_1_r by lra.
    apply Rle_trans with (2 := D). apply Rmult_le_compat_r; lra.
Qed.

(** Of a pair, positions and tokens are true up to one factor each. *)
Lemma pair_enclosed : forall q m, (q < v)%nat -> (m < v)%nat ->
  let tokens := token_ends a q m in let places := place_ends bits a q tokens in
  length tokens = S m /\ length places = n_ctx M /\
  exists up ut, 0 < up /\ 0 < ut /\
    (forall p, (p < n_ctx M)%nat -> between up (nth p places (0, 0)%Z) (exp (position_scores M q p / root))) /\
    (forall t, (t <= m)%nat -> between ut (nth t tokens (0, 0)%Z) (exp (token_scores M q t / root))).
Proof.
  intros q m Q Hm tokens places. destruct (tokens_enclosed q m Q Hm) as (ut & ut_pos & L & near). fold tokens in L, near.
  destruct (places_enclosed q tokens Q) as (up & up_pos & L' & near').
  { exists (nth 0 tokens (0, 0)%Z). split; [apply nth_In; lia|]. destruct (near 0%nat ltac:(lia)) as [N [lo hi]].
    apply lt_IZR. apply Rlt_le_trans with (2 := hi). apply Rmult_lt_0_compat; [apply exp_pos | assumption]. }
  split; [exact L|]. split; [exact L'|]. exists up, ut. repeat split; assumption || now apply near' || now apply near.
Qed.
End Weights.

(** ** At the worst of several positions *)

Definition hull (ends : list (Z * Z)) : Z * Z :=
  match ends with
  | [] => (0, 0)%Z
  | first :: rest => fold_right (fun x h => (Z.min (fst x) (fst h), Z.max (snd x) (snd h))) first rest
  end.

Lemma hull_holds : forall ends unit xs, Forall2 (between unit) ends xs -> forall x, In x xs -> between unit (hull ends) x.
Proof.
  intros ends unit xs all x I. destruct all as [|first y rest ys one all]; [destruct I|]. cbn [hull].
  assert (G : between unit (fold_right (fun x h => (Z.min (fst x) (fst h), Z.max (snd x) (snd h))) first rest) y /\
    forall z, In z ys -> between unit (fold_right (fun x h => (Z.min (fst x) (fst h), Z.max (snd x) (snd h))) first rest) z).
  { clear I x. induction all as [|e z rest ys N _ [IH1 IH2]]; [split; [exact one | easy]|]. cbn [fold_right].
    set (h := fold_right _ first rest) in *. destruct N as [n1 [n2 n3]].
    assert (wider : forall x, between unit h x -> between unit (Z.min (fst e) (fst h), Z.max (snd e) (snd h)) x).
    { intros u (m1 & m2 & m3). unfold between. cbn [fst snd]. split; [lia|]. split.
      - apply Rle_trans with (2 := m2). apply IZR_le. lia.
      - apply Rle_trans with (1 := m3). apply IZR_le. lia. }
    split; [now apply wider|]. intros u [<-|J]; [|now apply wider, IH2].
    destruct IH1 as (m1 & _). unfold between. cbn [fst snd]. split; [lia|]. split.
    - apply Rle_trans with (2 := n2). apply IZR_le. lia.
    - apply Rle_trans with (1 := n3). apply IZR_le. lia. }
  destruct G as [G1 G2]. destruct I as [<-|I]; [exact G1 | exact (G2 x I)].
Qed.

Definition product_ends (a b : Z * Z) : Z * Z := (fst a * fst b, snd a * snd b)%Z.

Lemma product_between : forall a b ua ub x y, between ua a x -> between ub b y -> 0 < ua -> 0 < ub -> 0 < x -> 0 < y ->
  between (ua * ub) (product_ends a b) (x * y).
Proof.
  intros a b ua ub x y (na & la & ha) (nb & lb & hb) A B X Y. unfold between, product_ends. cbn [fst snd].
  split; [now apply Z.mul_nonneg_nonneg|]. apply (IZR_le 0) in na, nb. rewrite !mult_IZR.
  replace (x * y * (ua * ub)) with ((x * ua) * (y * ub)) by ring.
  split; apply Rmult_le_compat; try assumption; apply Rmult_le_pos; lra.
Qed.
